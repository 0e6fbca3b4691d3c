package listener_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDeadlinesEndWithTheirRequest: what bounded one request bounds none that comes after it
// on the same connections, which outlive it on both sides.
func TestDeadlinesEndWithTheirRequest(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	up := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", up, ""))
	p.start(strings.Replace(plainListener("stream_idle_timeout: 0s"), "routes: [",
		"routes: [{match: {path: /bounded}, route: {cluster: up, timeout: 0.2s, idle_timeout: 0.2s}}, ", 1))
	c := p.dial(t, nil)
	r := bufio.NewReader(c)
	ask := func(path string) {
		t.Helper()
		c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		rs, err := http.ReadResponse(r, nil)
		if err != nil || rs.StatusCode != 200 {
			t.Fatalf("%s: %v, %v", path, rs, err)
		}
	}
	ask("/bounded")
	<-time.After(300 * time.Millisecond) // its deadlines pass
	ask("/")
	mu.Lock()
	defer mu.Unlock()
	if len(from) != 1 {
		t.Errorf("%d connections upstream, the one that there was is as good", len(from))
	}
}
