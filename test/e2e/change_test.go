package e2e

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestVerdictsUnderChange changes the form of the policy and the issuer's keys while
// requests run. One of the two forms is in force at any time, so a request without a
// token or with a bad one never passes, and one with a good token always does. It is
// for the race detector too: see the piece `race` of make soak.
func TestVerdictsUnderChange(t *testing.T) {
	m := harness.Up(t)
	const old, today = "enduser-authentication-jwt.yml", "enduser-authentication-jwt-istio.yml"
	createAndAwait(m, old)
	var good atomic.Pointer[string]
	renew := func() {
		token := mint(m)
		harness.Eventually(t, 10*time.Second, "a token of the new key passes", func() (bool, any) {
			a, err := m.Get("/customer", token)
			return err == nil && a.Status == http.StatusOK, a
		})
		good.Store(&token)
	}
	renew()
	invalid := harness.Token(t, "invalid.jwt")

	done := make(chan struct{})
	var wg sync.WaitGroup
	var judged atomic.Int64
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if a, err := m.Get("/customer", *good.Load()); err != nil || a.Status != http.StatusOK {
					t.Errorf("a good token: %d %q %v", a.Status, a.Body, err)
				}
				if a, err := m.Get("/customer", invalid); err != nil || a.Status != http.StatusUnauthorized {
					t.Errorf("a bad token: %d %q %v", a.Status, a.Body, err)
				}
				if a, err := m.Get("/customer", ""); err != nil || a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
					t.Errorf("no token: %d %q %v", a.Status, a.Body, err)
				}
				judged.Add(3)
			}
		})
	}
	rounds := harness.Count(t, "changes of form and keys", 2, 30)
	for range rounds {
		createAndAwait(m, today)
		m.Kubectl("delete", "-f", istiofile(old))
		m.Usher("token", "rotate", "--issuer", "testing@secure.istio.io")
		renew()
		createAndAwait(m, old)
		m.Kubectl("delete", "-f", istiofile(today))
	}
	close(done)
	wg.Wait()
	t.Logf("%d requests judged over %d changes", judged.Load(), rounds)
}
