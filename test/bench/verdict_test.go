package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// proxied is a site whose listeners are one server of the test's own.
func proxied(t *testing.T, answer func(s *site, token string) int) *site {
	t.Helper()
	signature := "." + strings.Repeat("s", 342)
	s := &site{Port: map[string]int{}, tokens: []string{"h.first" + signature, "h.last" + signature}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(answer(s, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	}))
	t.Cleanup(srv.Close)
	for _, name := range []string{"plain", "jwt", "mesh", "mtls"} {
		s.Port[name] = srv.Listener.Addr().(*net.TCPAddr).Port
	}
	return s
}

// TestCheckVerdicts wants a proxy that answers wrongly to be found out.
func TestCheckVerdicts(t *testing.T) {
	passIf := func(ok bool) int {
		if ok {
			return http.StatusOK
		}
		return http.StatusUnauthorized
	}
	always := func(status int) func(*site, string) int { return func(*site, string) int { return status } }
	right := func(s *site, token string) int { return passIf(slices.Contains(s.tokens, token)) }
	present := func(_ *site, token string) int { return passIf(token != "") }
	first := func(s *site, token string) int { return passIf(token == s.tokens[0]) }
	for name, c := range map[string]struct {
		work   work
		answer func(*site, string) int
		want   string // in the error; "": none
	}{
		"right":             {work{listener: "jwt", token: allTokens}, right, ""},
		"lets all through":  {work{listener: "jwt", token: allTokens}, always(200), "without a token: status 200"},
		"refuses all":       {work{listener: "jwt", token: oneToken}, always(401), "status 401, not 200"},
		"looks at presence": {work{listener: "jwt", token: oneToken}, present, "tampered token: status 200"},
		"knows one token":   {work{listener: "jwt", token: oneToken}, first, "another token: status 401"},
		"plain":             {work{listener: "plain"}, always(200), ""},
		"plain, broken":     {work{listener: "plain"}, always(503), "status 503"},
		"mesh in clear":     {work{listener: "mesh"}, always(200), "in clear"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkVerdicts(t.Context(), proxied(t, c.answer), c.work)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
