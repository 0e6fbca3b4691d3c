package route

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

type pathKind uint8

const (
	prefixPath pathKind = iota
	exactPath
	separatedPath // path_separated_prefix: whole segments
	regexPath
	connectPath
)

type pathMatcher struct {
	kind pathKind
	text string
	fold bool // case_sensitive: false
	re   *regexp.Regexp
}

func (p *pathMatcher) match(x *exchange.Exchange, path string) bool {
	if x.Request.Method == "CONNECT" && p.kind != connectPath {
		return false
	}
	switch p.kind {
	case connectPath:
		return x.Request.Method == "CONNECT"
	case regexPath:
		return p.re.MatchString(path)
	case exactPath:
		return path == p.text || p.fold && strings.EqualFold(path, p.text)
	}
	n := len(p.text)
	if len(path) < n || path[:n] != p.text && !(p.fold && strings.EqualFold(path[:n], p.text)) {
		return false
	}
	return p.kind == prefixPath || len(path) == n || path[n] == '/'
}

func (r *Route) matches(x *exchange.Exchange, path, query string) bool {
	if !r.path.match(x, path) {
		return false
	}
	for i := range r.headers {
		if !r.headers[i].match(x) {
			return false
		}
	}
	for i := range r.query {
		if !r.query[i].match(query) {
			return false
		}
	}
	return r.fraction == nil || rand.Uint32N(r.fraction.of) < r.fraction.share
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
		p.kind = regexPath
		if p.re, err = compileRegex(s.SafeRegex, p.fold); err != nil {
			return p, strict.At("safe_regex", err)
		}
	case *routev3.RouteMatch_ConnectMatcher_:
		p.kind = connectPath
	default:
		return p, strict.Errorf("path_specifier", "missing")
	}
	return p, nil
}

// compileRegex compiles an expression that must match all of a text.
func compileRegex(m *matcherv3.RegexMatcher, fold bool) (*regexp.Regexp, error) {
	flags := "(?s"
	if fold {
		flags += "i"
	}
	return regexp.Compile("^" + flags + ":" + m.GetRegex() + ")$")
}

// fraction is the share of requests that a route takes.
type fraction struct{ share, of uint32 }

func compileFraction(f *typev3.FractionalPercent) (*fraction, error) {
	switch f.GetDenominator() {
	case typev3.FractionalPercent_HUNDRED:
		return &fraction{f.GetNumerator(), 100}, nil
	case typev3.FractionalPercent_TEN_THOUSAND:
		return &fraction{f.GetNumerator(), 10_000}, nil
	case typev3.FractionalPercent_MILLION:
		return &fraction{f.GetNumerator(), 1_000_000}, nil
	}
	return nil, strict.Errorf("denominator", "%w", strict.ErrUnsupported)
}

func compileString(m *matcherv3.StringMatcher) (func(string) bool, error) {
	if err := strict.Only(m, "exact", "prefix", "suffix", "contains", "safe_regex", "ignore_case"); err != nil {
		return nil, err
	}
	fold := m.GetIgnoreCase()
	in := func(s string) string {
		if fold {
			return strings.ToLower(s)
		}
		return s
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		w := in(p.Exact)
		return func(s string) bool { return in(s) == w }, nil
	case *matcherv3.StringMatcher_Prefix:
		w := in(p.Prefix)
		return func(s string) bool { return strings.HasPrefix(in(s), w) }, nil
	case *matcherv3.StringMatcher_Suffix:
		w := in(p.Suffix)
		return func(s string) bool { return strings.HasSuffix(in(s), w) }, nil
	case *matcherv3.StringMatcher_Contains:
		w := in(p.Contains)
		return func(s string) bool { return strings.Contains(in(s), w) }, nil
	case *matcherv3.StringMatcher_SafeRegex:
		re, err := compileRegex(p.SafeRegex, fold)
		if err != nil {
			return nil, strict.At("safe_regex", err)
		}
		return re.MatchString, nil
	}
	return nil, strict.Errorf("match_pattern", "missing")
}

type headerMatcher struct {
	name    string
	absent  bool // matches if the field is not there
	present bool
	value   func(string) bool
	invert  bool
	empty   bool // a missing field counts as empty
}

func (h *headerMatcher) match(x *exchange.Exchange) bool {
	v, ok := headerValue(x, h.name)
	if !ok && h.empty {
		ok = true
	}
	switch {
	case h.absent:
		return !ok != h.invert
	case h.present:
		return ok != h.invert
	case !ok: // an inverted match of a missing field is no match either (Envoy)
		return false
	}
	return h.value(v) != h.invert
}

// headerValue gives a field's values joined by commas, or a pseudo-header.
func headerValue(x *exchange.Exchange, name string) (string, bool) {
	switch name {
	case ":method":
		return x.Request.Method, true
	case ":authority", "host":
		return x.Request.Authority, true
	case ":path":
		return x.Request.Path, true
	case ":scheme":
		return x.Request.Scheme, true
	}
	h := &x.Request.Header
	if h.Count(name) < 2 {
		return h.Lookup(name)
	}
	var b strings.Builder
	for _, f := range h.Fields() {
		if f.Name == name {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(f.Value)
		}
	}
	return b.String(), true
}

func compileHeader(m *routev3.HeaderMatcher) (h headerMatcher, err error) {
	h = headerMatcher{name: strings.ToLower(m.GetName()), invert: m.GetInvertMatch(), empty: m.GetTreatMissingHeaderAsEmpty()}
	if h.name == "" {
		return h, strict.Errorf("name", "empty")
	}
	switch s := m.GetHeaderMatchSpecifier().(type) {
	case nil:
		h.present = true
	case *routev3.HeaderMatcher_PresentMatch:
		h.present, h.absent = s.PresentMatch, !s.PresentMatch
	case *routev3.HeaderMatcher_StringMatch:
		h.value, err = compileString(s.StringMatch)
		err = strict.At("string_match", err)
	case *routev3.HeaderMatcher_ExactMatch:
		h.value = func(v string) bool { return v == s.ExactMatch }
	case *routev3.HeaderMatcher_PrefixMatch:
		h.value = func(v string) bool { return strings.HasPrefix(v, s.PrefixMatch) }
	case *routev3.HeaderMatcher_SuffixMatch:
		h.value = func(v string) bool { return strings.HasSuffix(v, s.SuffixMatch) }
	case *routev3.HeaderMatcher_ContainsMatch:
		h.value = func(v string) bool { return strings.Contains(v, s.ContainsMatch) }
	case *routev3.HeaderMatcher_SafeRegexMatch:
		re, e := compileRegex(s.SafeRegexMatch, false)
		if e != nil {
			return h, strict.At("safe_regex_match", e)
		}
		h.value = re.MatchString
	case *routev3.HeaderMatcher_RangeMatch:
		h.value = func(v string) bool {
			n, e := strconv.ParseInt(v, 10, 64)
			return e == nil && n >= s.RangeMatch.GetStart() && n < s.RangeMatch.GetEnd()
		}
	default:
		err = strict.Errorf("header_match_specifier", "%w", strict.ErrUnsupported)
	}
	return h, err
}

type queryMatcher struct {
	name  string
	value func(string) bool // nil: presence
}

func (q *queryMatcher) match(query string) bool {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if decodeQuery(name) == q.name {
			return q.value == nil || q.value(decodeQuery(value))
		}
	}
	return false
}

func compileQuery(m *routev3.QueryParameterMatcher) (q queryMatcher, err error) {
	if q.name = m.GetName(); q.name == "" {
		return q, strict.Errorf("name", "empty")
	}
	switch s := m.GetQueryParameterMatchSpecifier().(type) {
	case nil:
	case *routev3.QueryParameterMatcher_PresentMatch:
		if !s.PresentMatch {
			return q, strict.Errorf("present_match", "false: %w", strict.ErrUnsupported)
		}
	case *routev3.QueryParameterMatcher_StringMatch:
		q.value, err = compileString(s.StringMatch)
		err = strict.At("string_match", err)
	}
	return q, err
}

// decodeQuery decodes percent escapes, and leaves what is no escape alone.
func decodeQuery(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
