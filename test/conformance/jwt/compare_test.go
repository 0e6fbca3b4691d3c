package jwt

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// logLine is what the access log says of a request.
type logLine struct {
	Case, Flags, Details string
	Code                 int
	Metadata             any
}

// readLog gives the lines of an access log by case, and takes the file away.
func readLog(t *testing.T, file string) map[string]logLine {
	t.Helper()
	text := readFile(t, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	out := map[string]logLine{}
	for line := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out[l.Case] = l
	}
	return out
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// noise are response headers that tell of time, not of a verdict.
var noise = []string{"Date", "X-Envoy-Upstream-Service-Time"}

// denied tells whether the filter refused the request.
func (a *answer) denied() bool {
	return strings.HasPrefix(a.Logged.Details, "jwt_authn_access_denied")
}

// text gives what of an answer must be equal, a line each.
func (a *answer) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d\nbody %q\n", a.Status, a.Body)
	headers(&b, "response", a.Header)
	if u := a.Upstream; u != nil {
		fmt.Fprintf(&b, "upstream %s %s %s\n", u.Method, u.Host, u.Path)
		headers(&b, "upstream", u.Header)
	}
	fmt.Fprintf(&b, "log %d %s %s\n", a.Logged.Code, a.Logged.Flags, a.Logged.Details)
	m, err := json.Marshal(a.Logged.Metadata)
	fmt.Fprintf(&b, "metadata %s %v\n", m, err)
	return b.String()
}

func headers(b *strings.Builder, where string, h map[string][]string) {
	for _, n := range slices.Sorted(maps.Keys(h)) {
		if slices.Contains(noise, n) {
			continue
		}
		for _, v := range h[n] {
			fmt.Fprintf(b, "%s %s: %s\n", where, n, v)
		}
	}
}

// difference gives the lines that only one of two texts has.
func difference(envoy, usher string) string {
	e, u := strings.Split(envoy, "\n"), strings.Split(usher, "\n")
	var b strings.Builder
	for _, l := range e {
		if !slices.Contains(u, l) {
			fmt.Fprintf(&b, "\n   envoy %s", l)
		}
	}
	for _, l := range u {
		if !slices.Contains(e, l) {
			fmt.Fprintf(&b, "\n   usher %s", l)
		}
	}
	return b.String()
}

// verdict counts what was excused, by reason.
type verdict struct {
	used    map[reason]int
	excused int
}

// compare holds usher's answer against Envoy's, or against what the request's
// exception makes of it. of gives Envoy's answer to any request.
func (v *verdict) compare(t *testing.T, r *request, of func(*request) *answer, usher *answer) {
	envoy := of(r)
	want := envoy
	var why []reason
	switch {
	case r.like != nil:
		want, why = of(r.like), append(why, r.why)
	case r.says != "":
		want, why = r.refused(r.says), append(why, r.why)
	case envoy.Body == wrongLength && r.alg != "" && r.alg != "EdDSA":
		want, why = r.refused("Jwt verification fails"), append(why, boundAlg)
	}
	if want.Upstream != nil && r.to+r.cookie+r.auth != "" {
		want = r.rewritten(want)
	}
	if w, ok := realm(r, want); ok {
		want, why = w, append(why, bareRealm)
	}
	if l := r.refusedAlone(envoy, usher, of); l != nil {
		want, why = l, []reason{everyBad}
	}
	if r.byItself && difference(want.text(), usher.text()) != "" {
		want, usher = want.withoutFailures(), usher.withoutFailures()
		why = append(why, staleStatus)
	}
	if d := difference(want.text(), usher.text()); d != "" {
		t.Errorf("%s:%s", r, d)
		return
	}
	if len(why) == 0 {
		return
	}
	if envoy.text() == usher.text() {
		t.Errorf("%s: is an exception (%v), but does not differ\n%s", r, why, usher.text())
	}
	v.excused++
	for _, w := range why {
		v.used[w]++
	}
}

// refusedAlone gives Envoy's refusal of one of the request's tokens, if Envoy lets
// the request pass and that is how usher refuses it; else nil.
func (r *request) refusedAlone(envoy, usher *answer, of func(*request) *answer) *answer {
	if envoy.Status != 200 || usher.Status == 200 {
		return nil
	}
	for _, a := range r.alone {
		if b := of(a); b.Status == usher.Status && b.Body == usher.Body {
			c := r.refused(b.Body)
			c.Status, c.Logged.Code = b.Status, b.Status
			c.Logged.Metadata = usher.Logged.Metadata // of the good ones
			c.Header["Www-Authenticate"][0] = strings.Replace(c.Header.Get("Www-Authenticate"), r.path, strings.Split(r.path, "?")[0], 1)
			return c
		}
	}
	return nil
}

// withoutFailures gives the answer less what is logged of failed statuses.
func (a *answer) withoutFailures() *answer {
	m, ok := a.Logged.Metadata.(map[string]any)
	if !ok {
		return a
	}
	b := *a
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(k string, _ any) bool { return strings.HasSuffix(k, "-failed") })
	b.Logged.Metadata = nil
	if len(m) > 0 {
		b.Logged.Metadata = m
	}
	return &b
}

// rewritten gives an answer whose upstream got the request's own to, cookie and auth.
func (r *request) rewritten(a *answer) *answer {
	b, up := *a, *a.Upstream
	b.Upstream = &up
	if r.to != "" {
		up.Path = r.to
	}
	up.Header = up.Header.Clone()
	for name, v := range map[string]string{"Cookie": r.cookie, "Authorization": r.auth} {
		if v != "" {
			up.Header.Set(name, v)
		}
	}
	return &b
}

// realm gives a refusal as it is with usher's realm, if that is another one.
func realm(r *request, a *answer) (*answer, bool) {
	old := a.Header.Get("Www-Authenticate")
	if old == "" || !strings.ContainsAny(r.path, "?\"\\") {
		return a, false
	}
	_, after, _ := strings.Cut(old[len(`Bearer realm="`):], `", `)
	path, _, _ := strings.Cut(r.path, "?")
	scheme, _, _ := strings.Cut(old[len(`Bearer realm="`):], "://")
	value := `Bearer realm="` + scheme + `://svc.test` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
	if after != "" {
		value += ", " + after
	}
	if value == old {
		return a, false
	}
	b := *a
	b.Header = a.Header.Clone()
	b.Header.Set("Www-Authenticate", value)
	return &b, true
}

// Texts of refusals that are named often.
const (
	missing = "Jwt is missing"
	badForm = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
)

// refused is the refusal of a token by a text, as Envoy words it.
func (r *request) refused(text string) *answer {
	fault := `, error="invalid_token"`
	if text == missing {
		fault = ""
	}
	return &answer{
		Status: 401, Body: text,
		Header: http.Header{
			"Content-Length": {fmt.Sprint(len(text))}, "Content-Type": {"text/plain"}, "Server": {"envoy"},
			"Www-Authenticate": {`Bearer realm="http://svc.test` + r.path + `"` + fault},
		},
		Logged: logLine{Code: 401, Flags: "-", Details: "jwt_authn_access_denied{" + strings.ReplaceAll(text, " ", "_") + "}"},
	}
}
