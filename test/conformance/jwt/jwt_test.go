package jwt

import (
	"strconv"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

func TestSameAsEnvoy(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	began := time.Now()
	up := newUpstream(t)
	s := newSuite()
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
	s.grpcCases()
	f := write(t, t.TempDir(), s.worlds, up)
	asked, at := s.all()
	run := func(name, program string, args ...string) []*answer {
		p := start(t, name, program, f, up, args...)
		out := p.ask(asked)
		p.stop()
		lines := readLog(t, f.accessLog)
		for i, a := range out {
			a.Logged = lines[strconv.Itoa(i)]
		}
		return out
	}
	e := run("envoy", envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "100")
	u := run("usher", usher)
	v := verdict{used: map[reason]int{}}
	for _, r := range s.requests {
		v.compare(t, r, func(r *request) *answer { return e[at[r]] }, u[at[r]])
	}
	for why := range reasons {
		if v.used[why] == 0 {
			t.Errorf("nothing differs for the reason %q", why)
		}
	}
	t.Logf("%d requests in %v; %d differ on purpose: %v", len(s.requests), time.Since(began).Round(time.Millisecond), v.excused, v.used)
}
