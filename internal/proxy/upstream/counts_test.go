package upstream

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestCounted: what connections carry is counted once, whoever reads it, and as cancelled the
// requests alone whose client did not wait for a connection.
func TestCounted(t *testing.T) {
	const answer = "HTTP/1.1 204 No Content\r\n\r\n"
	_, port, _ := net.SplitHostPort(proxytest.Answering(t, answer))
	c := cluster(t, "{name: c, type: STATIC}")
	set(t, c, port)
	h := only(t, c)
	conn, err := h.Get(t.Context(), time.Time{}, true, From{Major: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.W.Request(post(1), true); err != nil {
		t.Fatal(err)
	}
	if err := conn.W.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Head(new(exchange.Response), "POST"); err != nil {
		t.Fatal(err)
	}
	conn.Put(true)
	if n := c.Counts.CxReceived.Load(); n != uint64(len(answer)) {
		t.Errorf("%d bytes received, want %d", n, len(answer))
	}
	before := c.Counts.CxSent.Load()
	nc, err := h.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "hello")
	io.ReadFull(nc, make([]byte, len(answer)))
	if sent, received := c.Counts.CxSent.Load()-before, c.Counts.CxReceived.Load(); sent != 5 || received != 2*uint64(len(answer)) {
		t.Errorf("%d sent, %d received", sent, received)
	}
	if n := c.Counts.RqCancelled.Load(); n != 0 {
		t.Errorf("%d cancelled, and none was", n)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Get(gone, time.Time{}, true, From{Major: 1}); err == nil || c.Counts.RqCancelled.Load() != 1 {
		t.Errorf("%v, %d cancelled", err, c.Counts.RqCancelled.Load())
	}
	set(t, c, "1") // where nobody listens
	if _, err := only(t, c).Get(t.Context(), time.Time{}, true, From{Major: 1}); err == nil || c.Counts.RqCancelled.Load() != 1 {
		t.Errorf("%v, %d cancelled", err, c.Counts.RqCancelled.Load())
	}
}
