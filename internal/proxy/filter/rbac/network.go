package rbac

import (
	"strings"

	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// NetworkTypeURL is that of the configuration of the filter for connections.
const NetworkTypeURL = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"

// NetworkNamespace is the dynamic metadata's key of what its shadow rules say.
const NetworkNamespace = "envoy.filters.network.rbac"

// Network is the filter for connections that carry no HTTP. It decides once, when
// the connection is there. Envoy waits for the client's first byte; here nothing
// flows to a client that is refused.
type Network struct {
	// StatPrefix is whose counters it holds in the scope Network, until that is released.
	StatPrefix string

	policy policy
	stats  stats
}

// CompileNetwork compiles Envoy's message for the filter for connections, which counts
// in set (nil: nowhere).
func CompileNetwork(a *anypb.Any, set *counters.Set) (*Network, error) {
	m := new(rbacv3.RBAC)
	if err := strict.Unpack(a, m); err != nil {
		return nil, err
	}
	if err := strict.Only(m, "rules", "shadow_rules", "shadow_rules_stat_prefix", "stat_prefix", "enforcement_type"); err != nil {
		return nil, err
	}
	if m.GetEnforcementType() != rbacv3.RBAC_ONE_TIME_ON_FIRST_BYTE {
		return nil, strict.Errorf("enforcement_type", "%s: %w", m.GetEnforcementType(), strict.ErrUnsupported)
	}
	if err := noRequest(m); err != nil {
		return nil, err
	}
	p, err := compile(&httprbacv3.RBAC{Rules: m.GetRules(), ShadowRules: m.GetShadowRules(), ShadowRulesStatPrefix: m.GetShadowRulesStatPrefix()})
	if err != nil {
		return nil, err
	}
	n := &Network{StatPrefix: strings.TrimRight(m.GetStatPrefix(), "."), policy: p}
	set.Hold(counters.Network, n.StatPrefix)
	n.stats = newStats(set, counters.Network, m.GetStatPrefix(), "", m.GetShadowRulesStatPrefix())
	return n, nil
}

// noRequest refuses rules that ask for what only a request has: on a connection
// they would match nothing, and their negation everything.
func noRequest(m proto.Message) error {
	return protorange.Range(m.ProtoReflect(), func(v protopath.Values) error {
		step := v.Path.Index(-1)
		if step.Kind() != protopath.FieldAccessStep {
			return nil
		}
		switch name := step.FieldDescriptor().Name(); name {
		case "header", "url_path", "uri_template":
			return strict.Errorf(string(name), "is of a request, not of a connection")
		}
		return nil
	})
}

// Allow tells whether a connection may go on, and notes in the exchange that
// stands for it why not.
func (n *Network) Allow(x *exchange.Exchange) bool {
	if n.policy.shadow != nil {
		n.stats.countShadow(n.policy.report(x, NetworkNamespace))
	}
	if n.policy.rules == nil {
		return true
	}
	ok, name := n.policy.rules.allow(x)
	n.stats.count(ok)
	if !ok {
		x.Details = denial(name)
	}
	return ok
}
