// Package rbac is the filter that lets requests pass by who asks for what,
// configured by Envoy's RBAC message and with Envoy's answers. It reads the
// connection, the request and what filters before it wrote into metadata; it
// verifies nothing itself.
package rbac

import (
	"net/http"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"

// Namespace is the dynamic metadata's key of what shadow rules say.
const Namespace = "envoy.filters.http.rbac"

// Factory makes the filters, which count in set (nil: nowhere).
func Factory(set *counters.Set) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			var m rbacv3.RBAC
			if err := strict.Unpack(c.Typed, &m); err != nil {
				return nil, err
			}
			p, err := compile(&m)
			if err != nil {
				return nil, err
			}
			return &Filter{c.Name, p, newStats(set, counters.HTTP, c.StatPrefix, m.GetRulesStatPrefix(), m.GetShadowRulesStatPrefix())}, nil
		},
		PerRoute: compilePerRoute,
	}
}

// Filter is one compiled configuration.
type Filter struct {
	name   string
	policy policy
	stats  stats
}

var _ filter.Filter = (*Filter)(nil)

// policy is what an RBAC message enforces and what it only reports.
type policy struct {
	rules  *rules // nil: nothing is enforced
	shadow *rules
	prefix string // of the shadow rules' metadata keys
}

func compile(m *rbacv3.RBAC) (p policy, err error) {
	if err := strict.Only(m, "rules", "rules_stat_prefix", "shadow_rules", "shadow_rules_stat_prefix"); err != nil {
		return p, err
	}
	p.prefix = m.GetShadowRulesStatPrefix()
	if m.GetRules() != nil {
		if p.rules, err = compileRules(m.GetRules()); err != nil {
			return p, strict.At("rules", err)
		}
	}
	if m.GetShadowRules() != nil {
		if p.shadow, err = compileRules(m.GetShadowRules()); err != nil {
			return p, strict.At("shadow_rules", err)
		}
	}
	return p, nil
}

// compilePerRoute reads RBACPerRoute: it replaces the filter's own rules; one
// without rbac enforces nothing.
func compilePerRoute(a *anypb.Any) (any, error) {
	var m rbacv3.RBACPerRoute
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "rbac"); err != nil {
		return nil, err
	}
	p, err := compile(m.GetRbac())
	return &p, strict.At("rbac", err)
}

// Decode lets the request pass or answers 403.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	p := &f.policy
	if route, ok := x.Route.(filter.Route); ok && route != nil {
		if own, ok := route.FilterConfig(f.name).(*policy); ok && own != nil {
			p = own
		}
	}
	if p.shadow != nil {
		f.stats.countShadow(p.report(x, Namespace))
	}
	if p.rules == nil {
		return true
	}
	ok, name := p.rules.allow(x)
	f.stats.count(ok)
	if ok {
		return true
	}
	x.Reply(http.StatusForbidden, "RBAC: access denied", denial(name))
	return false
}

// denial is the detail of a refusal by that policy, "" for none.
func denial(policy string) string {
	if policy == "" {
		policy = "none"
	}
	return "rbac_access_denied_matched_policy[" + strings.ReplaceAll(policy, " ", "_") + "]"
}

var shadowAllowed, shadowDenied = jsondoc.Of("allowed"), jsondoc.Of("denied")

// report writes into that metadata what the shadow rules would have said.
func (p *policy) report(x *exchange.Exchange, namespace string) (allowed bool) {
	ok, name := p.shadow.allow(x)
	result := shadowDenied
	if ok {
		result = shadowAllowed
	}
	if name != "" {
		x.SetMetadata(namespace, p.prefix+"shadow_effective_policy_id", jsondoc.Of(name))
	}
	x.SetMetadata(namespace, p.prefix+"shadow_engine_result", result)
	return ok
}
