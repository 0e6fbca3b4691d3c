package listener_test

import (
	"bufio"
	"io"
	"net"
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

// TestDeadlinesOfRepliesAlone: what the proxy itself says to a client, before an answer or
// instead of one, is not bound by the deadline of the answer before.
func TestDeadlinesOfRepliesAlone(t *testing.T) {
	const manager = "stream_idle_timeout: 0.3s\n"
	start := func(up, more string) (net.Conn, *bufio.Reader) {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", up, ""))
		c := p.start(plainListener(manager+more)).dial(t, nil)
		c.SetDeadline(time.Now().Add(patience))
		return c, bufio.NewReader(c)
	}
	say := func(c net.Conn, r *bufio.Reader, text string, want int) {
		t.Helper()
		_, _ = io.WriteString(c, text)
		rs, err := http.ReadResponse(r, nil)
		if err != nil || rs.StatusCode != want {
			t.Fatalf("%v %v, want %d", rs, err, want)
		}
		_, _ = io.Copy(io.Discard, rs.Body)
	}
	later := func() { <-time.After(400 * time.Millisecond) } // the deadline passes
	const asks = " HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	c, r := start(websockets(t, true), takesWebsocket)
	say(c, r, "GET /no"+asks, 403)
	later()
	_, _ = io.WriteString(c, "GET /chat"+asks)
	if line, err := r.ReadString('\n'); !strings.Contains(line, " 101 ") {
		t.Errorf("upgrade: %q %v", line, err)
	}
	c, r = start(backend(t, func(_ http.ResponseWriter, rq *http.Request) { _, _ = io.Copy(io.Discard, rq.Body) }), "")
	say(c, r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200)
	later()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
	if line, err := r.ReadString('\n'); !strings.Contains(line, " 100 ") {
		t.Errorf("continue: %q %v", line, err)
	}
}
