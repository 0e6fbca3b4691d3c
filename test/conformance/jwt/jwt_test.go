package jwt

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

func TestSameAsEnvoy(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	began := time.Now()
	up := newUpstream(t)
	s := generate(t)
	f := write(t, t.TempDir(), s.worlds, up, cluster("keys", keyServer(t)), cluster("nobody", harness.FreePorts(t, 1)[0]))
	asked, at := s.all()
	run := func(name, program string, args ...string) ([]*answer, map[string]int) {
		p := start(t, name, program, f, up, args...)
		if name == "usher" { // which fetches keys ahead, and lets no request wait long for them
			p.awaitKeys()
		}
		out, counters := p.ask(asked), p.counters()
		wrote := map[string]string{"metrics": p.mustAdmin("/stats/prometheus")}
		p.stop()
		wrote["access log"], wrote["log"] = readFile(t, f.accessLog), p.out.String()
		if name == "usher" {
			searchSignatures(t, asked, wrote)
		}
		lines := readLog(t, f.accessLog)
		for i, a := range out {
			a.Logged = lines[strconv.Itoa(i)]
		}
		return out, counters
	}
	e, counted := run("envoy", envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "100")
	u, counts := run("usher", usher, "-l", "debug")

	v := verdict{used: map[reason]int{}}
	for _, r := range s.requests {
		v.compare(t, r, func(r *request) *answer { return e[at[r]] }, u[at[r]])
	}
	for why := range reasons {
		if v.used[why] == 0 {
			t.Errorf("nothing differs for the reason %q", why)
		}
	}
	passed, refused := map[*world]int{}, map[*world]int{}
	for i, r := range asked {
		switch a, b := e[i].denied(), u[i].denied(); {
		case a && !b:
			passed[r.world]++
		case b && !a:
			refused[r.world]++
		}
	}
	compareCounters(t, s, counted, counts, passed, refused)
	if len(s.requests) < 3000 {
		t.Errorf("%d requests", len(s.requests))
	}
	t.Logf("%d requests in %v; %d differ on purpose, for %d reasons", len(s.requests), time.Since(began).Round(time.Millisecond), v.excused, len(v.used))
	for _, why := range slices.Sorted(maps.Keys(v.used)) {
		t.Logf("%5d  %s [%s]", v.used[why], why, reasons[why])
	}
}

// generate makes all requests.
func generate(t *testing.T) *suite {
	t.Helper()
	s := &suite{rnd: rand.New(rand.NewPCG(seed, seed)), keyFile: filepath.Join(t.TempDir(), "jwks.json")}
	if err := os.WriteFile(s.keyFile, []byte(goodKeys()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(keyVariable, goodKeys()) // of both programs
	s.keyCases()
	s.claimCases()
	s.jsonCases()
	s.formCases()
	s.placeCases()
	s.outputCases()
	s.takenCases()
	s.treeCases()
	s.routeCases()
	s.matcherCases()
	s.browserCases()
	s.realmCases()
	s.stateCases()
	s.levelCases()
	s.remoteCases()
	s.grpcCases() // last: it varies what is there
	return s
}
