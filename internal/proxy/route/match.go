package route

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

type pathKind uint8

const (
	prefixPath pathKind = iota
	exactPath
	separatedPath // path_separated_prefix: whole segments
	regexPath
	connectPath
	templatePath // uri_template
)

type pathMatcher struct {
	kind pathKind
	text string // of an expression or a template: what all its matches begin with
	fold bool   // case_sensitive: false
	re   match.String

	template *match.Template
}

func (p *pathMatcher) match(x *exchange.Exchange, path string) bool {
	if x.Request.Method == "CONNECT" && p.kind != connectPath {
		return false
	}
	switch p.kind {
	case connectPath:
		return x.Request.Method == "CONNECT"
	case regexPath:
		return p.re(path)
	case templatePath:
		return p.template.Match(path)
	case exactPath:
		return path == p.text || p.fold && match.EqualFold(path, p.text)
	}
	n := len(p.text)
	if len(path) < n || path[:n] != p.text && !(p.fold && match.EqualFold(path[:n], p.text)) {
		return false
	}
	return p.kind == prefixPath || len(path) == n || path[n] == '/'
}

// matched is the length of what the matcher has matched: all of the path, or a prefix.
func (p *pathMatcher) matched(path string) int {
	if p.kind == prefixPath || p.kind == separatedPath {
		return min(len(p.text), len(path))
	}
	return len(path)
}

func (r *Route) matches(x *exchange.Exchange, path, query string) bool {
	if !r.path.match(x, path) {
		return false
	}
	for i := range r.headers {
		if !r.headers[i].Match(x) {
			return false
		}
	}
	for i := range r.query {
		if !r.query[i].Match(query) {
			return false
		}
	}
	for _, fits := range r.conditions {
		if !fits(x) {
			return false
		}
	}
	return r.fraction.Hit()
}

func compilePath(m *routev3.RouteMatch) (p pathMatcher, err error) {
	p.fold = m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()
	switch s := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		p.kind, p.text = prefixPath, s.Prefix
	case *routev3.RouteMatch_Path:
		p.kind, p.text = exactPath, s.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		p.kind, p.text = separatedPath, s.PathSeparatedPrefix
		if p.text == "" || p.text[0] != '/' || strings.HasSuffix(p.text, "/") {
			return p, strict.Errorf("path_separated_prefix", "must begin with / and not end with it")
		}
	case *routev3.RouteMatch_SafeRegex:
		p.kind, p.fold = regexPath, false // case_sensitive says nothing of expressions
		if p.re, err = match.CompileRegex(s.SafeRegex); err != nil {
			return p, strict.At("safe_regex", err)
		}
		p.text, _ = regexp.MustCompile(s.SafeRegex.GetRegex()).LiteralPrefix()
	case *routev3.RouteMatch_ConnectMatcher_:
		p.kind, p.fold = connectPath, false
	case *routev3.RouteMatch_PathMatchPolicy:
		p.kind, p.fold = templatePath, false
		if p.template, err = match.CompileTemplate(s.PathMatchPolicy); err != nil {
			return p, strict.At("path_match_policy", err)
		}
		p.text = p.template.Prefix
	default:
		return p, strict.Errorf("path_specifier", "missing")
	}
	return p, nil
}

// condition is what a route asks of a request besides path, headers and query.
type condition func(*exchange.Exchange) bool

func compileConditions(m *routev3.RouteMatch) (out []condition, err error) {
	if m.GetGrpc() != nil {
		if err := strict.Only(m.GetGrpc()); err != nil {
			return nil, strict.At("grpc", err)
		}
		out = append(out, match.GRPC)
	}
	if t := m.GetTlsContext(); t != nil {
		if err := strict.Only(t, "presented", "validated"); err != nil {
			return nil, strict.At("tls_context", err)
		}
		// A handshake with a certificate that is not valid fails, so both are the same.
		for _, want := range []*wrapperspb.BoolValue{t.GetPresented(), t.GetValidated()} {
			if want != nil {
				out = append(out, func(x *exchange.Exchange) bool { return x.Conn.MTLS() == want.GetValue() })
			}
		}
	}
	for i, c := range m.GetCookies() {
		c, err := match.CompileCookie(c)
		if err != nil {
			return nil, strict.AtIndex("cookies", i, err)
		}
		out = append(out, c.Match)
	}
	for i, d := range m.GetDynamicMetadata() {
		c, err := match.CompileMetadata(d)
		if err != nil {
			return nil, strict.AtIndex("dynamic_metadata", i, err)
		}
		out = append(out, c.Match)
	}
	for i, f := range m.GetFilterState() {
		c, err := match.CompileState(f)
		if err != nil {
			return nil, strict.AtIndex("filter_state", i, err)
		}
		out = append(out, c.Match)
	}
	return out, nil
}
