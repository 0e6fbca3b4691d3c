package upstream

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestMaxConnections: connections of every kind count until they end, and what is refused
// is counted.
func TestMaxConnections(t *testing.T) {
	s := serve(t, true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for name, tc := range map[string]struct {
		more string
		open func(h *Host) (end func(), err error)
	}{
		"a connection of its own": {"", func(h *Host) (func(), error) {
			nc, err := h.Connect(t.Context(), nil, Default)
			return func() { nc.Close(); nc.Close() }, err
		}},
		"HTTP/1.1": {"", func(h *Host) (func(), error) {
			c, err := h.Get(t.Context(), time.Time{}, true, From{Major: 1})
			return func() { c.Put(false) }, err
		}},
		"HTTP/2": {oneStream, func(h *Host) (func(), error) {
			c, err := h.Get(t.Context(), time.Time{}, true, From{Major: 2})
			return func() { c.Put(false); h.closeIdle() }, err
		}},
	} {
		c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1}]}"+tc.more+"}")
		set(t, c, port)
		h, err := c.Pick(t.Context(), Ask{})
		if err != nil {
			t.Fatal(name, err)
		}
		end, err := tc.open(h)
		if err != nil {
			t.Fatal(name, err)
		}
		for range 2 {
			if _, err := tc.open(h); !errors.Is(err, ErrOverflow) {
				t.Errorf("%s: one more: %v", name, err)
			}
		}
		if n := c.Counts.CxOverflow.Load(); n != 2 {
			t.Errorf("%s: %d refused, want 2", name, n)
		}
		end()
		harness.Eventually(t, 10*time.Second, name+": it ends, HTTP/2 in a goroutine of its own", func() (bool, any) {
			n := c.breakers[Default].conns.Load()
			return n <= 0, n
		})
		if n := c.breakers[Default].conns.Load(); n < 0 {
			t.Errorf("%s: %d count after the end", name, n)
		}
		if end, err = tc.open(h); err != nil {
			t.Fatalf("%s: after the end: %v", name, err)
		}
		end()
	}
}
