package listener_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSilentBodies: who stops sending or reading content is let go, by the route's
// idle_timeout or the manager's stream_idle_timeout, and who is slow is not; but
// request_timeout bounds the whole request.
func TestSilentBodies(t *testing.T) {
	cut := make(chan struct{}, 1)
	up := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" { // more than all buffers hold
			block := make([]byte, 1<<20)
			for range 256 {
				if _, err := w.Write(block); err != nil {
					cut <- struct{}{}
					return
				}
			}
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	start := func(t *testing.T, manager, route string) *proxy {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", up, ""))
		return p.start(strings.Replace(plainListener(manager), "route: {cluster: up", "route: {timeout: 0s, cluster: up"+route, 1))
	}
	for name, tt := range map[string]struct {
		manager, route string
		sends          int // bytes, one each 50 ms
		want           string
	}{
		"the manager's":             {"stream_idle_timeout: 0.3s", "", 2, "408 stream timeout"},
		"the route's":               {"stream_idle_timeout: 0s", ", idle_timeout: 0.3s", 2, "408 stream timeout"},
		"slow":                      {"stream_idle_timeout: 0.3s", "", 20, "200 "},
		"slow, no idle time":        {"stream_idle_timeout: 0s", "", 20, "200 "},
		"slow, for too long":        {"stream_idle_timeout: 10s\nrequest_timeout: 0.4s", "", 20, "408 request timeout"},
		"slow, for too long, alone": {"stream_idle_timeout: 0s\nrequest_timeout: 0.4s", "", 20, "408 request timeout"},
	} {
		t.Run("request, "+name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tt.manager, tt.route).dial(t, nil)
			c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for range tt.sends {
				<-tick.C
				if _, err := c.Write([]byte("x")); err != nil {
					break
				}
			}
			rs, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(rs.Body)
			if got := rs.Status[:4] + string(b); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	t.Run("response", func(t *testing.T) {
		c := start(t, "stream_idle_timeout: 0s", ", idle_timeout: 0.3s").dial(t, nil)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		select {
		case <-cut:
		case <-time.After(patience):
			t.Error("a client that does not read holds its upstream")
		}
	})
}
