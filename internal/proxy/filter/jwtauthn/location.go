package jwtauthn

import (
	"cmp"
	"slices"
	"strings"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// location is where a token may stand in a request. It is comparable.
type location struct {
	kind   exchange.SecretKind
	name   string // header names in lower case
	prefix string // of a header's value
}

// found is a token and where it stood. The token is a secret; it may point into
// the connection's buffer.
type found struct {
	at    location
	token string
}

func (l location) secret() exchange.Secret { return exchange.Secret{Kind: l.kind, Name: l.name} }

// compileLocations gives the provider's places, headers before parameters before
// cookies, each by name; the default ones if it names none.
func compileLocations(m *jwtv3.JwtProvider) ([]location, error) {
	var l []location
	for i, h := range m.GetFromHeaders() {
		if err := strict.Only(h, "name", "value_prefix"); err != nil {
			return nil, strict.AtIndex("from_headers", i, err)
		}
		name, err := headerName("name", h.GetName())
		if err != nil {
			return nil, strict.AtIndex("from_headers", i, err)
		}
		l = append(l, location{exchange.SecretHeader, name, h.GetValuePrefix()})
	}
	for i, p := range m.GetFromParams() {
		if p == "" {
			return nil, strict.AtIndex("from_params", i, strict.Errorf("", "empty"))
		}
		l = append(l, location{kind: exchange.SecretParam, name: p})
	}
	for i, c := range m.GetFromCookies() {
		if c == "" {
			return nil, strict.AtIndex("from_cookies", i, strict.Errorf("", "empty"))
		}
		l = append(l, location{kind: exchange.SecretCookie, name: c})
	}
	if len(l) == 0 {
		l = []location{
			{exchange.SecretHeader, "authorization", "Bearer "},
			{kind: exchange.SecretParam, name: "access_token"},
		}
	}
	sortLocations(l)
	return slices.Compact(l), nil
}

func sortLocations(l []location) {
	slices.SortFunc(l, func(a, b location) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name+a.prefix, b.name+b.prefix), cmp.Compare(a.name, b.name))
	})
}

// find appends the tokens that stand at the location.
func (l location) find(x *exchange.Exchange, to []found) []found {
	switch l.kind {
	case exchange.SecretHeader:
		return l.findHeader(x, to)
	case exchange.SecretParam:
		// Every value counts, not the first alone: who is behind us may read
		// another one than we did.
		if strings.IndexByte(x.Request.Path, '?') >= 0 {
			for name, value := range match.Params(x.Request.Path) {
				if name == l.name {
					to = append(to, found{l, value})
				}
			}
		}
	case exchange.SecretCookie:
		for name, value := range match.Cookies(x) {
			if name == l.name {
				to = append(to, found{l, value})
			}
		}
	}
	return to
}

func (l location) findHeader(x *exchange.Exchange, to []found) []found {
	h := &x.Request.Header
	if l.name == "authorization" && h.Count(l.name) > 1 {
		// One field by its definition (RFC 9110, 11.6.2): several are joined, as
		// in Envoy, and what comes of it is no token.
		var all []string
		for _, f := range h.Fields() {
			if f.Name == l.name {
				all = append(all, f.Value)
			}
		}
		return l.take(strings.Join(all, ","), to)
	}
	for _, f := range h.Fields() {
		if f.Name == l.name {
			to = l.take(f.Value, to)
		}
	}
	return to
}

// take appends the token in a header's value, which must begin with the prefix.
// The scheme of Authorization may be in any case (RFC 9110, 11.1).
func (l location) take(value string, to []found) []found {
	n := len(l.prefix)
	if n == 0 {
		return append(to, found{l, trim(value)})
	}
	if len(value) < n || value[:n] != l.prefix && !(l.name == "authorization" && strings.EqualFold(value[:n], l.prefix)) {
		return to
	}
	token := trim(value[n:])
	if token == "" {
		if strings.HasSuffix(l.prefix, " ") {
			return to // nothing but a scheme
		}
		token = value
	}
	return append(to, found{l, token})
}

func trim(s string) string { return strings.Trim(s, " \t") }
