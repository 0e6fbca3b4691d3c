package route

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// UpgradeConfig is what routes and connection managers say of a protocol.
type UpgradeConfig interface {
	proto.Message
	GetUpgradeType() string
	GetEnabled() *wrapperspb.BoolValue
}

// Upgrades compiles upgrade_configs: whether connections may be upgraded to a protocol, by its
// name in lower case. Nil: nothing is said.
func Upgrades[C UpgradeConfig](list []C) (map[string]bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make(map[string]bool, len(list))
	for i, u := range list {
		if err := strict.Only(u, "upgrade_type", "enabled"); err != nil {
			return nil, strict.AtIndex("upgrade_configs", i, err)
		}
		name := strings.ToLower(u.GetUpgradeType())
		if _, there := out[name]; there {
			return nil, strict.AtIndex("upgrade_configs", i, strict.Errorf("upgrade_type", "%q is there already", name))
		}
		out[name] = u.GetEnabled() == nil || u.GetEnabled().GetValue()
	}
	return out, nil
}
