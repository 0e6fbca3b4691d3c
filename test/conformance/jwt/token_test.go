package jwt

import (
	"fmt"
	"strings"
	"time"
)

// born is the time that tokens are made at. Those that both sides judge lie far
// enough from every limit that the minutes of a run make no difference.
var born = time.Now()

// unix gives a NumericDate some time from now as JSON.
func unix(d time.Duration) string { return fmt.Sprint(born.Add(d).Unix()) }

// token is a JWT before it is put together. Header and claims are JSON text, so
// that every spelling can be made.
type token struct {
	alg    string // what signs, whatever the header says
	key    string // "": keyOf(alg)
	header string // "": alg and the key's kid
	claims string
}

// good are claims that every provider of issuer "i" takes.
const good = `{"iss":"i","sub":"s","aud":"a"}`

// jwt gives the token signed by an algorithm's own key.
func jwt(alg, claims string) string { return token{alg: alg, claims: claims}.String() }

// String gives the compact form.
func (t token) String() string {
	name := t.key
	if name == "" {
		name = keyOf(t.alg)
	}
	header := t.header
	if header == "" {
		header = `{"alg":"` + t.alg + `","kid":"` + name + `"}`
	}
	return t.sections(b64([]byte(header)), b64([]byte(t.claims)))
}

// sections signs a first and a second section as they stand.
func (t token) sections(header, payload string) string {
	name := t.key
	if name == "" {
		name = keyOf(t.alg)
	}
	input := header + "." + payload
	return input + "." + b64(keys()[name].sign(t.alg, []byte(input)))
}

// spoil changes a character in the middle of one of a token's sections.
func spoil(token string, section int) string {
	p := strings.Split(token, ".")
	b := []byte(p[section])
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	p[section] = string(b)
	return strings.Join(p, ".")
}

// claims gives a JSON object of the good claims with one of them replaced by
// another JSON value; "" takes it away.
func claims(name, value string) string {
	all := []string{`"iss":"i"`, `"sub":"s"`, `"aud":"a"`}
	var kept []string
	for _, c := range all {
		if !strings.HasPrefix(c, `"`+name+`":`) {
			kept = append(kept, c)
		}
	}
	if value != "" {
		kept = append(kept, `"`+name+`":`+value)
	}
	return "{" + strings.Join(kept, ",") + "}"
}
