package xdsgen

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// routeMatch is Envoy's form of a match; nil matches every request.
func routeMatch(m *mesh.HTTPMatch) *routev3.RouteMatch {
	out := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	if m == nil {
		return out
	}
	if m.Path != nil {
		switch m.Path.Kind {
		case mesh.Exact:
			out.PathSpecifier = &routev3.RouteMatch_Path{Path: m.Path.Value}
		case mesh.Prefix:
			out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: m.Path.Value}
		case mesh.Regex:
			out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: re2(m.Path.Value)}
		}
		if m.IgnorePathCase && m.Path.Kind != mesh.Regex {
			out.CaseSensitive = wrapperspb.Bool(false)
		}
	}
	for _, h := range []struct {
		name  string
		match *mesh.StringMatch
	}{{":method", m.Method}, {":authority", m.Authority}, {":scheme", m.Scheme}} {
		if h.match != nil {
			out.Headers = append(out.Headers, headerMatcher(h.name, h.match, false))
		}
	}
	for i := range m.Headers {
		h := &m.Headers[i]
		out.Headers = append(out.Headers, headerMatcher(h.Name, &h.Match, h.Invert))
	}
	for i := range m.Query {
		q := &m.Query[i]
		qm := &routev3.QueryParameterMatcher{Name: q.Name}
		if q.Match.Kind == mesh.Present {
			qm.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}
		} else {
			qm.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: textMatcher(&q.Match)}
		}
		out.QueryParameters = append(out.QueryParameters, qm)
	}
	return out
}

func headerMatcher(name string, m *mesh.StringMatch, invert bool) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: name, InvertMatch: invert}
	if m.Kind == mesh.Present {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
	} else {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: textMatcher(m)}
	}
	return out
}
