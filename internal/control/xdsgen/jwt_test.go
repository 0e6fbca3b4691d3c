package xdsgen

import (
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
)

// TestGroups checks which rules judge one place together: all that read it, and
// no place twice.
func TestGroups(t *testing.T) {
	rule := func(issuer string, headers ...string) mesh.JWTRule {
		r := mesh.JWTRule{Ref: mesh.Ref{Name: issuer}, Issuer: issuer}
		for _, h := range headers {
			if p, ok := strings.CutPrefix(h, "?"); ok {
				r.Params = append(r.Params, p)
			} else {
				r.Headers = append(r.Headers, mesh.JWTHeader{Name: h})
			}
		}
		return r
	}
	for name, tc := range map[string]struct {
		rules []mesh.JWTRule
		want  string
	}{
		"one":                    {[]mesh.JWTRule{rule("a", "h", "?p")}, "a(h ?p)"},
		"the same places":        {[]mesh.JWTRule{rule("b", "h", "?p"), rule("a", "H", "?p")}, "a(H ?p) b(h ?p)"},
		"other places":           {[]mesh.JWTRule{rule("a", "h"), rule("b", "g")}, "b(g) | a(h)"},
		"places that overlap":    {[]mesh.JWTRule{rule("a", "h", "?p"), rule("b", "h")}, "a(h) b(h) | a(?p)"},
		"some overlap, some not": {[]mesh.JWTRule{rule("a", "h", "g"), rule("b", "g"), rule("c", "x", "?p")}, "c(x ?p) | a(g) b(g) | a(h)"},
	} {
		t.Run(name, func(t *testing.T) {
			var groupsText []string
			for _, g := range groups(tc.rules) {
				var text []string
				for _, r := range g {
					var p []string
					for _, h := range r.Headers {
						p = append(p, h.Name)
					}
					for _, q := range r.Params {
						p = append(p, "?"+q)
					}
					text = append(text, r.Issuer+"("+strings.Join(p, " ")+")")
				}
				groupsText = append(groupsText, strings.Join(text, " "))
			}
			if got := strings.Join(groupsText, " | "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
