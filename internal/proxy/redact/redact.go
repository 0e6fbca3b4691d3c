// Package redact hides secrets in what is shown of requests: in logs, dumps and
// x-envoy-original-path. It knows names and the look of tokens, and no format.
package redact

import (
	"strconv"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// Query replaces the values of the parameters that secrets name, of
// access_token (RFC 6750) always, since a request may be refused before the filter
// that declares its secrets has seen it, and whatever else looks like a token.
func Query(path string, secrets []exchange.Secret) string {
	i := strings.IndexByte(path, '?')
	if i < 0 {
		return Tokens(path)
	}
	var b []byte
	kept := 0
	for at := i + 1; at <= len(path); {
		end := len(path)
		if n := strings.IndexByte(path[at:], '&'); n >= 0 {
			end = at + n
		}
		name, _, has := strings.Cut(path[at:end], "=")
		if has && secretParam(secrets, name) {
			b = append(append(b, path[kept:at+len(name)]...), "="+Redacted...)
			kept = end
		}
		at = end + 1
	}
	if kept == 0 {
		return Tokens(path)
	}
	return Tokens(string(append(b, path[kept:]...)))
}

// tokenLength is the least of what Tokens takes for a token: no JWT is
// shorter, and few identifiers are longer.
const tokenLength = 80

// Tokens replaces runs of characters of tokens that are as long as one and
// have upper case, lower case and digits: a proxy that only passes a token on does
// not know where the one that verifies it looks for it. Percent-encoded characters
// count as what they stand for.
func Tokens(s string) string {
	if len(s) < tokenLength {
		return s
	}
	var b strings.Builder
	kept := 0
	for i := 0; i < len(s); i++ {
		from, length := i, 0
		var classes uint8
		for i < len(s) {
			class, n := tokenChar(s[i:])
			if class == 0 {
				break
			}
			classes |= class
			i, length = i+n, length+1
		}
		if length >= tokenLength && classes&(classUpper|classLower|classDigit) == classUpper|classLower|classDigit {
			b.WriteString(s[kept:from])
			b.WriteString(Redacted)
			kept = i
		}
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}

// tokenChar gives the class of the character that s begins with, 0 if no token has
// it, and how many bytes it takes.
func tokenChar(s string) (class uint8, n int) {
	if s[0] != '%' {
		return tokenClass[s[0]], 1
	}
	if len(s) < 3 {
		return 0, 1
	}
	c, err := strconv.ParseUint(s[1:3], 16, 8)
	if err != nil {
		return 0, 1
	}
	return tokenClass[c], 3
}

// Redacted stands for what is not shown.
const Redacted = "[redacted]"

// Classes of the characters of a JWT: base64url and dots.
const (
	classUpper uint8 = 1 << iota
	classLower
	classDigit
	classOther
)

var tokenClass = func() (t [256]uint8) {
	for c := range 26 {
		t['A'+c], t['a'+c] = classUpper, classLower
	}
	for c := range 10 {
		t['0'+c] = classDigit
	}
	t['-'], t['_'], t['.'] = classOther, classOther, classOther
	return t
}()

// secretParam tells whether the value of a parameter is not shown. What its name
// is, is read as filters do, and as forms have it, where + is a space.
func secretParam(secrets []exchange.Secret, name string) bool {
	plain, form := match.Unescape(name), match.Unescape(strings.ReplaceAll(name, "+", " "))
	if plain == "access_token" {
		return true
	}
	for _, s := range secrets {
		if s.Kind == exchange.SecretParam && (s.Name == plain || s.Name == form) {
			return true
		}
	}
	return false
}
