package xdsgen

import (
	"regexp"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/mesh"
)

// fires evaluates the headers of a match on :path as proxies do: the whole value
// must match.
func fires(t testing.TB, m *routev3.RouteMatch, path string) bool {
	t.Helper()
	for _, h := range m.Headers {
		re := regexp.MustCompile("^(?s:" + h.GetStringMatch().GetSafeRegex().GetRegex() + ")$")
		if re.MatchString(path) == h.InvertMatch {
			return false
		}
	}
	return true
}

func TestTriggers(t *testing.T) {
	exactly := func(s string) mesh.StringMatch { return mesh.StringMatch{Kind: mesh.Exact, Value: s} }
	starts := func(s string) mesh.StringMatch { return mesh.StringMatch{Kind: mesh.Prefix, Value: s} }
	ends := func(s string) mesh.StringMatch { return mesh.StringMatch{Kind: mesh.Suffix, Value: s} }
	like := func(s string) mesh.StringMatch { return mesh.StringMatch{Kind: mesh.Regex, Value: s} }
	type trigger = mesh.Trigger
	type list = []mesh.StringMatch
	for name, tc := range map[string]struct {
		rules [][]trigger
		want  map[string]string // path -> indices of the rules that are asked
	}{
		"no triggers": {[][]trigger{nil, nil}, map[string]string{"/": "01", "/a?b": "01"}},
		"excluded": {[][]trigger{{{Excluded: list{exactly("/health"), starts("/public/"), ends(".css")}}}}, map[string]string{
			"/health": "", "/health?x=1": "", "/health#f": "", "/healthy": "0", "/public/a": "", "/public": "0", "/a.css": "",
			"/a.css?v": "", "/a?b.css": "0", "/a#.css": "0", "/private?/public/": "0",
		}},
		"included": {[][]trigger{{{Included: list{starts("/api")}, Excluded: list{exactly("/api/open")}}}}, map[string]string{
			"/api": "0", "/api/open": "", "/api/open?q": "", "/api/open/x": "0", "/": "",
		}},
		"an expression never reads the query": {[][]trigger{{{Excluded: list{like("/.*public"), like("[^a]+"), like("/q[?]x"), like("/r.x")}}}}, map[string]string{
			"/x/public": "", "/a?/public": "0", "/x?/public": "", "/abc?public": "0", "/zzz": "", "/a?zzz": "0", "/q?x": "", "/r?x": "",
		}},
		"either of two triggers": {[][]trigger{{{Included: list{starts("/a")}}, {Included: list{starts("/b")}, Excluded: list{ends("x")}}}}, map[string]string{
			"/a": "0", "/ax": "0", "/b": "0", "/bx": "", "/c": "",
		}},
		"two rules": {[][]trigger{{{Included: list{starts("/a")}}}, {{Included: list{ends("z")}}}}, map[string]string{
			"/a": "0", "/az": "01", "/z": "1", "/": "",
		}},
		"each rule its own": {[][]trigger{
			{{Included: list{starts("/a")}}}, {{Included: list{starts("/b")}}}, {{Included: list{starts("/c")}}},
			{{Included: list{starts("/d")}}}, {{Included: list{starts("/e")}}}, {{Included: list{ends("z")}}},
		}, map[string]string{"/a": "0", "/e": "4", "/ez": "45", "/z": "5", "/": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var rules []mesh.JWTRule
			for _, tr := range tc.rules {
				rules = append(rules, mesh.JWTRule{Triggers: tr})
			}
			cases := triggerCases(rules)
			for path, want := range tc.want {
				got := ""
				for _, c := range cases {
					if fires(t, c.match, path) {
						for i := range rules {
							for _, r := range c.rules {
								if r == i {
									got += string(rune('0' + i))
								}
							}
						}
						break
					}
				}
				if got != want {
					t.Errorf("%s: rules %q, want %q", path, got, want)
				}
			}
		})
	}
}

// FuzzPathOnly checks that an expression of a user keeps its meaning on paths and
// never matches a text with a query or fragment.
func FuzzPathOnly(f *testing.F) {
	for _, s := range []string{".*", "/a?b", "[^/]+", `\?`, "(?i)/A|#", "a{2,3}", `\W`, "(?s).", "[[:^alpha:]]", "/a$"} {
		f.Add(s, "/a")
		f.Add(s, "/a?b#c")
	}
	f.Fuzz(func(t *testing.T, expr, path string) {
		if len(expr) > 200 || len(path) > 200 {
			return
		}
		old, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil || strings.Contains(expr, `\Q`) {
			return
		}
		if _, err := regexp.Compile(expr); err != nil {
			return
		}
		now, err := regexp.Compile("^(?:" + pathOnly(expr) + ")$")
		if err != nil {
			t.Fatalf("%q became %q: %v", expr, pathOnly(expr), err)
		}
		want := old.MatchString(path) && !strings.ContainsAny(path, "?#")
		if got := now.MatchString(path); got != want {
			t.Fatalf("%q became %q, which gives %v for %q", expr, pathOnly(expr), got, path)
		}
	})
}
