package jwtauthn

import (
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// requirement picks what is asked of the request: the route's own requirement,
// else the first rule that matches, else what the filter state says. nil is
// nothing. It answers false after a reply.
func (f *Filter) requirement(x *exchange.Exchange) (verifier, bool) {
	if route, ok := x.Route.(filter.Route); ok && route != nil {
		if p, ok := route.FilterConfig(f.name).(*perRoute); ok && p != nil {
			if p.disabled {
				return nil, true
			}
			if v, ok := f.named[p.name]; ok {
				return v, true
			}
			return nil, f.denyRoute(x, p.name)
		}
	}
	for i := range f.rules {
		if f.rules[i].match.Match(x) {
			return f.rules[i].verifier, true
		}
	}
	if f.state.name == "" {
		return nil, true
	}
	text, ok := x.FilterState[f.state.name]
	if !ok {
		return nil, true
	}
	return f.state.requires[text], true
}

// perRoute is a compiled PerRouteConfig.
type perRoute struct {
	disabled bool
	name     string
}

func compilePerRoute(a *anypb.Any) (any, error) {
	var m jwtv3.PerRouteConfig
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "disabled", "requirement_name"); err != nil {
		return nil, err
	}
	switch s := m.GetRequirementSpecifier().(type) {
	case *jwtv3.PerRouteConfig_Disabled:
		if !s.Disabled {
			return nil, strict.Errorf("disabled", "must be true")
		}
		return &perRoute{disabled: true}, nil
	case *jwtv3.PerRouteConfig_RequirementName:
		if s.RequirementName == "" {
			return nil, strict.Errorf("requirement_name", "empty")
		}
		return &perRoute{name: s.RequirementName}, nil
	}
	return nil, strict.Errorf("requirement_specifier", "missing")
}
