package match

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Route is a RouteMatch as a filter's rules have it: path, headers and query
// parameters. Shares of traffic and runtime keys are refused.
type Route struct {
	path    String
	headers []*Header
	query   []*Query
	connect bool
}

// CompileRoute compiles a RouteMatch.
func CompileRoute(m *routev3.RouteMatch) (*Route, error) {
	if err := strict.Only(m, "prefix", "path", "safe_regex", "path_separated_prefix", "path_match_policy",
		"connect_matcher", "case_sensitive", "headers", "query_parameters"); err != nil {
		return nil, err
	}
	r := &Route{}
	var err error
	if r.path, err = compileRoutePath(m); err != nil {
		return nil, err
	}
	_, r.connect = m.GetPathSpecifier().(*routev3.RouteMatch_ConnectMatcher_)
	for i, h := range m.GetHeaders() {
		c, err := CompileHeader(h)
		if err != nil {
			return nil, strict.AtIndex("headers", i, err)
		}
		r.headers = append(r.headers, c)
	}
	for i, q := range m.GetQueryParameters() {
		c, err := CompileQuery(q)
		if err != nil {
			return nil, strict.AtIndex("query_parameters", i, err)
		}
		r.query = append(r.query, c)
	}
	return r, nil
}

// Match tells whether the request matches. Paths are compared without query.
func (r *Route) Match(x *exchange.Exchange) bool {
	if r.connect && x.Request.Method != "CONNECT" {
		return false
	}
	if !r.path(CutPath(x.Request.Path)) {
		return false
	}
	for _, h := range r.headers {
		if !h.Match(x) {
			return false
		}
	}
	if len(r.query) == 0 {
		return true
	}
	_, query, _ := strings.Cut(x.Request.Path, "?")
	for _, q := range r.query {
		if !q.Match(query) {
			return false
		}
	}
	return true
}

func compileRoutePath(m *routev3.RouteMatch) (String, error) {
	same := func(a, b string) bool { return a == b }
	if c := m.GetCaseSensitive(); c != nil && !c.GetValue() {
		same = EqualFold
	}
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		n := len(p.Prefix)
		return func(s string) bool { return len(s) >= n && same(s[:n], p.Prefix) }, nil
	case *routev3.RouteMatch_Path:
		return func(s string) bool { return same(s, p.Path) }, nil
	case *routev3.RouteMatch_PathSeparatedPrefix:
		n := len(p.PathSeparatedPrefix)
		if n < 2 || p.PathSeparatedPrefix[0] != '/' || strings.HasSuffix(p.PathSeparatedPrefix, "/") {
			return nil, strict.Errorf("path_separated_prefix", "must begin with / and not end with it")
		}
		return func(s string) bool {
			return len(s) >= n && same(s[:n], p.PathSeparatedPrefix) && (len(s) == n || s[n] == '/')
		}, nil
	case *routev3.RouteMatch_SafeRegex:
		s, err := CompileRegex(p.SafeRegex)
		return s, strict.At("safe_regex", err)
	case *routev3.RouteMatch_PathMatchPolicy:
		t, err := CompileTemplate(p.PathMatchPolicy)
		if err != nil {
			return nil, strict.At("path_match_policy", err)
		}
		return t.Match, nil
	case *routev3.RouteMatch_ConnectMatcher_:
		return func(string) bool { return true }, nil
	}
	return nil, strict.Errorf("path_specifier", "missing")
}
