package xdsgen

import (
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// TestHostSpellings: a host of a DENY rule is meant however a client spells it, and an
// ALLOW rule's only as it stands.
func TestHostSpellings(t *testing.T) {
	for _, tt := range []struct {
		value, host string
		refuses     bool // where to match is to refuse
		allows      bool // where it is to allow
	}{
		{"a.example", "a.example", true, true},
		{"a.example", "A.Example", true, true},
		{"a.example", "a.example:8080", true, false},
		{"a.example", "a.example.", true, false},
		{"a.example", "A.example..:80", true, false},
		{"a.example", "a.example:", true, false},
		{"A.example.", "a.example", true, false},
		{"a.example", "b.a.example", false, false},
		{"a.example", "axexample", false, false},
		{"a.example", "a.example.org", false, false},
		{"a.example", "a.example:80.org", false, false},
		{"a.example:8080", "a.example", false, false},
		{"a.example:8080", "a.example:80", false, false},
		{"a.example:8080", "a.example.:8080", true, false},
		{"*.example", "b.Example", true, true},
		{"*.example", "b.example.:443", true, false},
		{"*.example", "example", false, false},
		{"a.*", "A.org:80", true, true},
		{"[::1]", "[::1]:80", true, false},
		{"[::1]", "[::1]", true, true},
		{"*", "a", true, true},
		{"*", "", false, false},
	} {
		for deny, want := range map[bool]bool{true: tt.refuses, false: tt.allows} {
			b := &ruleBuilder{place: &place{}, http: true, deny: deny}
			for not, want := range map[bool]bool{false: want, true: map[bool]bool{true: tt.allows, false: tt.refuses}[deny]} {
				v := mesh.Values{In: []string{tt.value}}
				if not {
					v = mesh.Values{NotIn: []string{tt.value}}
				}
				p := b.operation(&mesh.Operation{Hosts: v})[0]
				if not {
					p = p.GetNotRule()
				}
				m, err := match.CompileHeader(p.GetOrRules().GetRules()[0].GetHeader())
				if err != nil {
					t.Fatal(err)
				}
				x := &exchange.Exchange{}
				x.Request.Authority = tt.host
				if got := m.Match(x); got != want {
					t.Errorf("%q, deny %v, not %v: %q matches: %v", tt.value, deny, not, tt.host, got)
				}
			}
		}
	}
}
