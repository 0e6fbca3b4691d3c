package e2e

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// TestEveryChangeOfTheTokenIsRefused sends data/valid.jwt with each position
// replaced by each other base64url character and by those that lenient parsers
// skip. It catches base64 decoders that ignore padding bits, empty sections or
// trailing bytes.
func TestEveryChangeOfTheTokenIsRefused(t *testing.T) {
	m := harness.Up(t)
	createAndAwait(m, "enduser-authentication-jwt.yml")
	valid := harness.Token(t, "valid.jwt")
	wantOpen(t, m, valid)

	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= %"
	work := make(chan string, 256)
	var sent, passed atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for token := range work {
				a, err := m.Get("/customer", token)
				switch {
				case err != nil:
					t.Errorf("no answer: %v", err)
				case a.Status != http.StatusUnauthorized:
					passed.Add(1)
					t.Errorf("status %d for a changed token", a.Status)
				}
				sent.Add(1)
			}
		})
	}
	for i := range valid {
		for _, c := range alphabet {
			if byte(c) != valid[i] {
				work <- valid[:i] + string(c) + valid[i+1:]
			}
		}
	}
	close(work)
	wg.Wait()
	t.Logf("%d changed tokens sent, %d let through", sent.Load(), passed.Load())
	wantOpen(t, m, valid)
}
