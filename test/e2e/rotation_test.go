package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
	"github.com/usher-mesh/usher/test/keyserver"
)

const noKey = "Jwks doesn't have key to match kid or alg from Jwt"

// rotation is a mesh that trusts an issuer of the test's, which it finds by
// discovery.
type rotation struct {
	*harness.Mesh
	t      *testing.T
	issuer *keyserver.Issuer
}

// TestKeyRotation has an issuer rotate its keys under a mesh, and be down while proxy
// and control plane start anew.
func TestKeyRotation(t *testing.T) {
	r := &rotation{t: t, issuer: keyserver.NewIssuer(t, "", "a")}
	server := httptest.NewServer(r.issuer)
	t.Cleanup(server.Close)
	r.issuer.Name = server.URL
	r.Mesh = harness.Up(t)
	r.Apply(`
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: rotating, namespace: tutorial}
spec:
  selector: {matchLabels: {app: customer}}
  jwtRules: [{issuer: "` + server.URL + `"}]`)
	// The keys are there before the first request.
	harness.Eventually(t, 5*time.Second, "keys", func() (bool, any) { n := r.issuer.Asked.Load(); return n == 1, n })

	r.want("a", http.StatusOK)
	r.issuer.Publish("b")
	r.fetches("the first request of a new key", func(time.Duration) (least, most int64) { return 1, 1 }, func() { r.want("b", http.StatusOK) })
	began := time.Now()
	harness.Eventually(t, 2*window, "the window's end", func() (bool, any) { d := time.Since(began); return d > window, d })
	r.flood(1000)

	r.issuer.Fail(true)
	r.issuer.Publish("c")
	r.survives("the issuer's end")
	r.killSidecar()
	r.survives("the sidecar's restart")
	if err := syscall.Kill(upPID(t, r.Mesh), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.survives("the control plane's death")
	r.Start()
	r.survives("the control plane's restart")
	r.killSidecar()
	r.survives("the restart of both")
	r.metric(`usher_jwks_keys{cluster="usher-jwks-mirror",uri="` + server.URL + `/.well-known/openid-configuration#` + server.URL + `"} 2`)

	r.issuer.Fail(false)
	harness.Eventually(t, 35*time.Second, "the issuer's return", func() (bool, any) {
		a := r.MustGet("/customer", r.issuer.Token("c", time.Hour))
		return a.Status == http.StatusOK, a
	})
}

// want sends a token of that key.
func (r *rotation) want(kid string, status int) {
	r.t.Helper()
	a := r.MustGet("/customer", r.issuer.Token(kid, time.Hour))
	if a.Status != status || status == http.StatusUnauthorized && a.Body != noKey {
		r.t.Fatalf("a token of key %q: %d %q, want %d", kid, a.Status, a.Body, status)
	}
}

// survives: good tokens pass, new keys are refused.
func (r *rotation) survives(what string) {
	r.t.Helper()
	r.t.Log("after " + what)
	r.want("a", http.StatusOK)
	r.want("b", http.StatusOK)
	r.want("c", http.StatusUnauthorized)
}

// window is how long unknown keys make no second fetch of the mirror's.
const window = 5 * time.Second

// fetches counts how often the issuer is asked while f runs; bounds says how often it
// may be in that time.
func (r *rotation) fetches(what string, bounds func(time.Duration) (least, most int64), f func()) {
	r.t.Helper()
	before, begin := r.issuer.Asked.Load(), time.Now()
	f()
	n, took := r.issuer.Asked.Load()-before, time.Since(begin)
	r.t.Logf("%s: %d fetches in %v", what, n, took.Round(time.Millisecond))
	if least, most := bounds(took); n < least || n > most {
		r.t.Errorf("%s: the issuer was asked %d times, want %d to %d", what, n, least, most)
	}
}

// flood sends n tokens of n unknown keys at once.
func (r *rotation) flood(n int) {
	r.t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = r.issuer.Token(fmt.Sprint("made up ", i), time.Hour)
	}
	oneEachWindow := func(took time.Duration) (least, most int64) { return 1, 1 + int64(took/window) }
	r.fetches(fmt.Sprint(n, " requests of unknown keys"), oneEachWindow, func() {
		var wg sync.WaitGroup
		for _, tok := range tokens {
			wg.Go(func() {
				if a, err := r.Get("/customer", tok); err != nil || a.Status != http.StatusUnauthorized || a.Body != noKey {
					r.t.Errorf("an unknown key: %d %q, %v", a.Status, a.Body, err)
				}
			})
		}
		wg.Wait()
	})
}

// killSidecar kills customer's proxy, and returns when the next one serves.
func (r *rotation) killSidecar() {
	r.t.Helper()
	killProxy(r.t, r.Mesh, "customer-v1")
	harness.Eventually(r.t, 5*time.Second, "sidecar back", func() (bool, any) {
		a, err := r.Get("/customer", r.issuer.Token("a", time.Hour))
		return err == nil && a.Status == http.StatusOK, a
	})
}

// metric looks for a line in the metrics of customer's proxy.
func (r *rotation) metric(line string) {
	r.t.Helper()
	resp, err := harness.Client.Get("http://" + r.Status()["tutorial/customer-v1"].Addresses.Admin + "/stats/prometheus")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(b), line+"\n") {
		r.t.Errorf("metrics lack %s (%v)", line, err)
	}
}

// TestDevelopmentIssuerRotates: the mesh's own issuer gets new keys; tokens of the old
// ones and the first one of the new pass, and verify says the same.
func TestDevelopmentIssuerRotates(t *testing.T) {
	const issuer = "testing@secure.istio.io"
	m := harness.Up(t)
	createAndAwait(m, "enduser-authentication-jwt.yml")
	old := mint(m)
	wantOpen(t, m, old)
	if out := m.Usher("token", "rotate", "--issuer", issuer); !strings.Contains(out, "is published until") {
		t.Errorf("rotate: %s", out)
	}
	fresh := mint(m)
	wantOpen(t, m, fresh)
	m.Usher("token", "rotate", "--issuer", issuer)
	again := mint(m) // well within the throttle
	wantOpen(t, m, again)
	wantOpen(t, m, fresh)
	wantOpen(t, m, old)
	for _, tok := range []string{old, fresh, again} {
		out := m.Usher("token", "verify", "--jwks", "http://issuer.istio-system.svc.cluster.local/i/"+issuer+"/jwks", "--issuer", issuer, tok)
		if !strings.HasPrefix(out, "valid: signed by ") {
			t.Errorf("verify: %s", out)
		}
	}
}
