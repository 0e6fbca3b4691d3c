package jwtauthn

import (
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct{ claims, name, want string }{
		{`{"a":{"b":1},"a.b":2}`, "a.b", "1"},
		{`{"a":{"c":1},"a.b":2}`, "a.b", "2"},
		{`{"a":[{"b":1}],"a.b":2}`, "a.b", "2"},
		{`{"a":null,"a.b":{"c.d":3}}`, "a.b.c.d", "3"},
		{`{"a.b":{"c":1},"a":{"b.c":null}}`, "a.b.c", "null"},
		{`{"a":{"":1}}`, "a.", "1"},
		{`{"a":{"b":1}}`, "a.b.c", ""},
	} {
		claims, err := jsondoc.Parse(c.claims)
		if err != nil {
			t.Fatal(err)
		}
		v := lookup(claims, strings.Split(c.name, "."), true)
		if got := v.JSON(); (v == nil) != (c.want == "") || v != nil && got != c.want {
			t.Errorf("%s of %s is %s, want %s", c.name, c.claims, got, c.want)
		}
	}
}

// A name with many dots may be cut at any of them, but only where the token has an
// object: else each dot doubled the work, whatever the token.
func TestLookupOfManyDots(t *testing.T) {
	const dots = 20
	path := strings.Split(strings.Repeat("a.", dots)+"b", ".")
	for _, doc := range []string{`{}`, `{"a":1,"a.a":[]}`, strings.Repeat(`{"a.a":{},"a":`, 15) + `{}` + strings.Repeat(`}`, 15)} {
		claims, err := jsondoc.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1, func() { lookup(claims, path, true) }); n > 50*dots {
			t.Errorf("%.20s: %v texts were joined", doc, n)
		}
	}
}
