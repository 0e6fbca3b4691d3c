package match

import (
	"iter"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Query is a compiled QueryParameterMatcher.
type Query struct {
	name    string
	value   String // nil: presence
	present bool   // the presence that is asked for
}

// CompileQuery compiles a QueryParameterMatcher.
func CompileQuery(m *routev3.QueryParameterMatcher) (*Query, error) {
	q := &Query{present: true}

	if err := strict.Only(m, "name", "string_match", "present_match"); err != nil {
		return nil, err
	}
	if q.name = m.GetName(); q.name == "" {
		return nil, strict.Errorf("name", "empty")
	}
	var err error
	switch s := m.GetQueryParameterMatchSpecifier().(type) {
	case nil:
	case *routev3.QueryParameterMatcher_PresentMatch:
		q.present = s.PresentMatch
	case *routev3.QueryParameterMatcher_StringMatch:
		q.value, err = CompileString(s.StringMatch)
		err = strict.At("string_match", err)
	}
	return q, err
}

// Match looks at the first parameter of the name in a query (without its "?").
// Names and values are compared as they stand, percent escapes and all (Envoy's
// rule).
func (q *Query) Match(query string) bool {
	value, ok := Parameter(query, q.name)
	if q.value == nil {
		return ok == q.present
	}
	return ok && q.value(value)
}

// Parameter gives the first parameter of the name in a query, as it stands.
func Parameter(query, name string) (value string, ok bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if n, value, _ := strings.Cut(pair, "="); n == name {
			return value, true
		}
	}
	return "", false
}

// Params gives the query parameters of a path, decoded, in their order.
func Params(path string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		_, q, _ := strings.Cut(path, "?")
		q, _, _ = strings.Cut(q, "#")
		for q != "" {
			var pair string
			pair, q, _ = strings.Cut(q, "&")
			name, value, _ := strings.Cut(pair, "=")
			if !yield(Unescape(name), Unescape(value)) {
				return
			}
		}
	}
}

// Unescape decodes percent escapes and leaves what is none alone, as Envoy does.
func Unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
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
