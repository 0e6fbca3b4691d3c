package traffic

import (
	"io"
	"net"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// What a connection has carried is counted, however it is read and written.
func TestConn(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	var received, sent counters.Counter
	c := &Conn{Conn: a, Received: &received, Sent: &sent}
	go func() {
		io.ReadFull(b, make([]byte, 5))
		io.WriteString(b, "abc")
		b.Close()
	}()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "abc" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	if _, err := io.WriteString(c, "more"); err == nil {
		t.Error("written after the end")
	}
	if received.Load() != 3 || sent.Load() != 5 {
		t.Errorf("%d received, %d sent", received.Load(), sent.Load())
	}
	if c.NetConn() != a || c.CloseWrite() == nil {
		t.Error("a pipe has no half to close")
	}
}
