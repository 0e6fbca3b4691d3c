package xdsgen

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/usher-mesh/usher/internal/mesh"
)

const legacyName = "legacy.jwt_authn"

// legacyFilter asks for the token of the winning Policy: the first origin that
// succeeds is enough, and none is needed on paths for which no origin is
// triggered.
func legacyFilter(s *mesh.Security, at *place) []*hcmv3.HttpFilter {
	o := s.OriginFor(at.port)
	if o == nil || len(o.Rules) == 0 {
		return nil
	}
	j := &jwtv3.JwtAuthentication{Providers: map[string]*jwtv3.JwtProvider{}, BypassCorsPreflight: true}
	names := make([]string, len(o.Rules))
	for i := range o.Rules {
		names[i] = fmt.Sprintf("origins-%d", i)
		j.Providers[names[i]] = provider(&o.Rules[i])
	}
	for _, c := range triggerCases(o.Rules) {
		var some []string
		for _, i := range c.rules {
			some = append(some, names[i])
		}
		j.Rules = append(j.Rules, &jwtv3.RequirementRule{
			Match:           c.match,
			RequirementType: &jwtv3.RequirementRule_Requires{Requires: originOf(some, o.Optional)},
		})
	}
	return []*hcmv3.HttpFilter{httpFilter(legacyName, j)}
}

func originOf(names []string, optional bool) *jwtv3.JwtRequirement {
	if !optional {
		return anyOf(names)
	}
	return anyOf(names, &jwtv3.JwtRequirement{
		RequiresType: &jwtv3.JwtRequirement_AllowMissingOrFailed{AllowMissingOrFailed: &emptypb.Empty{}},
	})
}

// triggerCase is requests for which the same rules are triggered.
type triggerCase struct {
	match *routev3.RouteMatch
	rules []int
}

// triggerCases lists the sets of rules that are triggered together, the largest
// first, since the first case that matches decides. A path that is in none needs
// no token. A Policy of too many cases was refused in translation.
func triggerCases(rules []mesh.JWTRule) []triggerCase {
	kinds := map[string]int{} // triggers as text -> index in sets
	var sets []triggerSet
	for i := range rules {
		key := fmt.Sprint(rules[i].Triggers)
		k, ok := kinds[key]
		if !ok {
			k = len(sets)
			kinds[key] = k
			sets = append(sets, triggerSet{triggers: rules[i].Triggers})
		}
		sets[k].rules = append(sets[k].rules, i)
	}
	var out []triggerCase
	for n := len(sets); n > 0; n-- {
		for mask := 1; mask < 1<<len(sets); mask++ {
			if bits(mask) == n {
				out = append(out, casesOf(sets, mask)...)
			}
		}
	}
	return out
}

// triggerSet is rules with the same triggers.
type triggerSet struct {
	triggers []mesh.Trigger
	rules    []int
}

// casesOf makes the matches under which all sets of the mask are triggered: one
// trigger of each.
func casesOf(sets []triggerSet, mask int) []triggerCase {
	out := []triggerCase{{match: routeMatch(nil)}}
	for i, s := range sets {
		if mask&(1<<i) == 0 {
			continue
		}
		for j := range out {
			out[j].rules = append(out[j].rules, s.rules...)
		}
		if len(s.triggers) == 0 {
			continue
		}
		var next []triggerCase
		for _, c := range out {
			for _, t := range s.triggers {
				m := &routev3.RouteMatch{PathSpecifier: c.match.PathSpecifier}
				m.Headers = append(append(m.Headers, c.match.Headers...), triggerHeaders(t)...)
				next = append(next, triggerCase{m, c.rules})
			}
		}
		out = next
	}
	return out
}

func bits(mask int) (n int) {
	for ; mask > 0; mask >>= 1 {
		n += mask & 1
	}
	return n
}
