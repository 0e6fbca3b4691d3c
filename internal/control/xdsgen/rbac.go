package xdsgen

import (
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"

	"github.com/usher-mesh/usher/internal/mesh"
)

const (
	rbacName    = "envoy.filters.http.rbac"
	netRBACName = "envoy.filters.network.rbac"
)

// rbacSet is the policies of one action: those in force, and those of a dry run.
type rbacSet struct{ rules, shadow *rbacv3.RBAC }

// rbacSets makes them in the order in which they decide: DENY, ALLOW, AUDIT.
func rbacSets(s *mesh.Security, at *place, http bool) []rbacSet {
	var out []rbacSet
	for _, a := range []struct {
		action mesh.Action
		envoy  rbacv3.RBAC_Action
	}{{mesh.Deny, rbacv3.RBAC_DENY}, {mesh.Allow, rbacv3.RBAC_ALLOW}, {mesh.Audit, rbacv3.RBAC_LOG}} {
		var set rbacSet
		for _, p := range s.Authorization {
			if p.Action != a.action {
				continue
			}
			to := &set.rules
			if p.DryRun || p.Action == mesh.Audit && !http { // the network filter cannot log
				to = &set.shadow
			}
			if *to == nil {
				*to = &rbacv3.RBAC{Action: a.envoy, Policies: map[string]*rbacv3.Policy{}}
			}
			b := &ruleBuilder{place: at, http: http, deny: p.Action == mesh.Deny}
			for i := range p.Rules {
				name := fmt.Sprintf("ns[%s]-policy[%s]-rule[%d]", p.Ref.Namespace, p.Ref.Name, i)
				if r := b.policy(&p.Rules[i]); r != nil {
					(*to).Policies[name] = r
				}
			}
		}
		if set.rules != nil || set.shadow != nil {
			out = append(out, set)
		}
	}
	return out
}

func rbacFilters(s *mesh.Security, at *place) []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	for _, set := range rbacSets(s, at, true) {
		out = append(out, httpFilter(rbacName, &httprbacv3.RBAC{Rules: set.rules, ShadowRules: set.shadow}))
	}
	return out
}

// tcpGuards are the guards of a port that is not HTTP: there are no tokens there, so
// a Policy that wants one lets nobody through.
func tcpGuards(s *mesh.Security, at *place) []*listenerv3.Filter {
	add := func(r *netrbacv3.RBAC) *listenerv3.Filter {
		r.StatPrefix = "tcp."
		return &listenerv3.Filter{Name: netRBACName, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(r)}}
	}
	denied := s.Denied
	if o := s.OriginFor(at.port); o != nil && len(o.Rules) > 0 && !o.Optional {
		denied = append(slices.Clip(denied), mesh.Denial{Ref: o.Ref})
	}
	if len(denied) > 0 {
		return []*listenerv3.Filter{add(&netrbacv3.RBAC{Rules: denyRules(denied)})}
	}
	var out []*listenerv3.Filter
	for _, set := range rbacSets(s, at, false) {
		if set.rules != nil && set.rules.Action == rbacv3.RBAC_LOG {
			continue
		}
		out = append(out, add(&netrbacv3.RBAC{Rules: set.rules, ShadowRules: set.shadow}))
	}
	return out
}

// denyAll refuses every request because of objects that could not be translated.
func denyAll(d []mesh.Denial) *hcmv3.HttpFilter {
	return httpFilter(rbacName, &httprbacv3.RBAC{Rules: denyRules(d)})
}

func denyRules(d []mesh.Denial) *rbacv3.RBAC {
	r := &rbacv3.RBAC{Action: rbacv3.RBAC_DENY, Policies: map[string]*rbacv3.Policy{}}
	for _, x := range d {
		name := fmt.Sprintf("ns[%s]-policy[%s]-unresolved[%s]", x.Ref.Namespace, x.Ref.Name, x.Ref.Kind)
		r.Policies[name] = &rbacv3.Policy{Permissions: []*rbacv3.Permission{anyPermission()}, Principals: []*rbacv3.Principal{anyPrincipal()}}
	}
	return r
}
