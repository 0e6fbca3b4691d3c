package jwt

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// counters reads the JWT filters' series from a peer's metrics.
func (p *peer) counters() map[string]int {
	p.t.Helper()
	out := map[string]int{}
	for line := range strings.Lines(p.mustAdmin("/stats/prometheus")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(name, "envoy_http_jwt_authn_") {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		out[name] = n
	}
	return out
}

// awaitKeys waits until the good sets of the world "remote" were fetched: of three
// sources, since two of the providers that name one are alike.
func (p *peer) awaitKeys() {
	p.t.Helper()
	harness.Eventually(p.t, 30*time.Second, "keys are fetched", func() (bool, any) {
		n := p.counters()[`envoy_http_jwt_authn_jwks_fetch_success{envoy_http_conn_manager_prefix="remote"}`]
		return n >= 3, n
	})
}

// compareCounters wants the same series of both, and the same numbers but for what
// the exceptions make of them. passed and refused count, by world, the requests that
// usher alone lets pass and refuses.
func compareCounters(t *testing.T, s *suite, envoy, usher map[string]int, passed, refused map[*world]int) {
	t.Helper()
	if e, u := slices.Sorted(maps.Keys(envoy)), slices.Sorted(maps.Keys(usher)); len(e) == 0 || !slices.Equal(e, u) {
		t.Errorf("Envoy counts %q,\nusher %q", e, u)
	}
	for _, w := range s.worlds {
		own, _ := w.filter["stat_prefix"].(string)
		if own != "" {
			own += "_"
		}
		of := func(m map[string]int, name string) int {
			return m["envoy_http_jwt_authn_"+own+name+`{envoy_http_conn_manager_prefix="`+w.name+`"}`]
		}
		for name, more := range map[string]int{"allowed": passed[w] - refused[w], "denied": refused[w] - passed[w], "cors_preflight_bypassed": 0} {
			if e, u := of(envoy, name), of(usher, name); u != e+more {
				t.Errorf("%s %s: %d, want %d and %d", w.name, name, u, e, more)
			}
		}
		if w.name == "outputs" { // where tokens come again
			for _, name := range []string{"jwt_cache_hit", "jwt_cache_miss"} {
				if e, u := of(envoy, name), of(usher, name); e == 0 || u != e {
					t.Errorf("%s %s: %d, want %d", w.name, name, u, e)
				}
			}
		}
	}
}
