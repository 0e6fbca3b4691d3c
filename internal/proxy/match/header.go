package match

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Header is a compiled HeaderMatcher.
type Header struct {
	name    string
	present bool   // asks for presence alone
	want    bool   // the presence that is asked for
	value   String // nil if present
	invert  bool
	empty   bool // a missing field counts as an empty one
}

// CompileHeader compiles a HeaderMatcher.
func CompileHeader(m *routev3.HeaderMatcher) (*Header, error) {
	if err := strict.Only(m, "name", "exact_match", "safe_regex_match", "range_match", "present_match", "prefix_match",
		"suffix_match", "contains_match", "string_match", "invert_match", "treat_missing_header_as_empty"); err != nil {
		return nil, err
	}
	h := &Header{name: strings.ToLower(m.GetName()), invert: m.GetInvertMatch(), empty: m.GetTreatMissingHeaderAsEmpty()}
	if h.name == "" {
		return nil, strict.Errorf("name", "empty")
	}
	var err error
	switch s := m.GetHeaderMatchSpecifier().(type) {
	case nil:
		h.present, h.want = true, true
	case *routev3.HeaderMatcher_PresentMatch:
		h.present, h.want = true, s.PresentMatch
	case *routev3.HeaderMatcher_StringMatch:
		h.value, err = CompileString(s.StringMatch)
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
		h.value, err = CompileRegex(s.SafeRegexMatch)
		err = strict.At("safe_regex_match", err)
	case *routev3.HeaderMatcher_RangeMatch:
		from, to := s.RangeMatch.GetStart(), s.RangeMatch.GetEnd()
		h.value = func(v string) bool {
			n, e := strconv.ParseInt(v, 10, 64)
			return e == nil && n >= from && n < to
		}
	default:
		err = strict.Errorf("header_match_specifier", "%w", strict.ErrUnsupported)
	}
	return h, err
}

// Match tells whether the request matches. Of several fields of the name one that
// has the value is enough; they do not count as one, joined by commas. A missing
// field never matches a value, nor an inverted one (Envoy's rules).
func (h *Header) Match(x *exchange.Exchange) bool {
	if v, ok := Pseudo(x, h.name); ok {
		return h.verdict(true, !h.present && h.value(v))
	}
	return h.MatchFields(&x.Request.Header)
}

// MatchFields is Match for the fields of a response, or a request's less its
// pseudo-headers.
func (h *Header) MatchFields(header *exchange.Header) bool {
	var there, fits bool
	for _, f := range header.Fields() {
		if f.Name == h.name {
			there = true
			fits = fits || !h.present && h.value(f.Value)
		}
	}
	return h.verdict(there, fits)
}

func (h *Header) verdict(there, fits bool) bool {
	switch {
	case h.present:
		return ((there || h.empty) == h.want) != h.invert
	case there:
	case !h.empty:
		return false
	default:
		fits = h.value("")
	}
	return fits != h.invert
}

// Pseudo gives a pseudo-header.
func Pseudo(x *exchange.Exchange, name string) (string, bool) {
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
	return "", false
}
