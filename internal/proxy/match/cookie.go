package match

import (
	"iter"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Cookies gives the cookies of a request in their order, less quotes around the
// values (RFC 6265, 4.1.1). Spaces around names and values are trimmed, as many a
// server does. What has no = is none.
func Cookies(x *exchange.Exchange) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range x.Request.Header.Fields() {
			if f.Name != "cookie" {
				continue
			}
			for rest, more := f.Value, true; more; {
				var pair string
				pair, rest, more = strings.Cut(rest, ";")
				name, value, ok := strings.Cut(trim(pair), "=")
				if !ok {
					continue
				}
				value = trim(value)
				if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
					value = value[1 : n-1]
				}
				if !yield(trim(name), value) {
					return
				}
			}
		}
	}
}

func trim(s string) string { return strings.Trim(s, " \t") }

// Cookie tells whether the request's first cookie of a name matches.
type Cookie struct {
	name   string
	value  String
	invert bool
}

// CompileCookie compiles a CookieMatcher.
func CompileCookie(m *routev3.CookieMatcher) (*Cookie, error) {
	if err := strict.Only(m, "name", "string_match", "invert_match"); err != nil {
		return nil, err
	}
	if m.GetName() == "" {
		return nil, strict.Errorf("name", "empty")
	}
	if m.GetStringMatch() == nil {
		return nil, strict.Errorf("string_match", "missing")
	}
	s, err := CompileString(m.GetStringMatch())
	return &Cookie{m.GetName(), s, m.GetInvertMatch()}, strict.At("string_match", err)
}

// Match: one that is not there is like one that does not match.
func (c *Cookie) Match(x *exchange.Exchange) bool {
	for name, value := range Cookies(x) {
		if name == c.name {
			return c.value(value) != c.invert
		}
	}
	return c.invert
}
