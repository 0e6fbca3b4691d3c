package route

import (
	"maps"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestUpgrades: a protocol that is named is allowed unless it says otherwise, whatever its case,
// and nothing else may be said of it.
func TestUpgrades(t *testing.T) {
	for text, want := range map[string]struct {
		upgrades map[string]bool
		refused  string
	}{
		"{}": {},
		"{upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: a, enabled: true}, {upgrade_type: B, enabled: false}]}": {upgrades: map[string]bool{"websocket": true, "a": true, "b": false}},
		"{upgrade_configs: [{upgrade_type: a}, {upgrade_type: b}, {upgrade_type: A}]}":                                        {refused: `upgrade_configs[2].upgrade_type: "a" is there already`},
		"{upgrade_configs: [{upgrade_type: a}, {upgrade_type: CONNECT, connect_config: {}}]}":                                 {refused: "upgrade_configs[1].connect_config: not supported"},
	} {
		got, err := Upgrades(proxytest.Decode(t, text, new(routev3.RouteAction)).GetUpgradeConfigs())
		refused := ""
		if err != nil {
			refused = err.Error()
		}
		if !maps.Equal(got, want.upgrades) || (got == nil) != (want.upgrades == nil) || refused != want.refused {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
