package hcm

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// held is a connection whose first Close takes as long as it is held up.
type held struct {
	net.Conn
	calls    atomic.Int32
	entered  chan struct{}
	released chan struct{}
}

func (h *held) Close() error {
	if h.calls.Add(1) == 1 {
		close(h.entered)
		<-h.released
	}
	return h.Conn.Close()
}

// counted counts how often it is closed.
type counted struct {
	net.Conn
	closes atomic.Int32
}

func (c *counted) Close() error { c.closes.Add(1); return c.Conn.Close() }

// TestOutliveLetsGo: when it has returned, nobody closes the way to the upstream any more, which
// may be the stream of another request by then.
func TestOutliveLetsGo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	near, client := net.Pipe()
	far, server := net.Pipe()
	down, up := &held{Conn: near, entered: make(chan struct{}), released: make(chan struct{})}, &counted{Conn: far}
	s := &session{ctx: ctx, nc: down, m: &Manager{}, x: new(exchange.Exchange), c: &Connection{
		Last: func(func() (time.Time, bool), time.Time, func()) func() { return func() {} }}}
	returned := make(chan int32)
	go func() {
		s.outlive(up, 0)
		returned <- up.closes.Load()
	}()
	cancel()
	<-down.entered
	server.Close() // both sides end while the end of all is being told
	client.Close()
	select {
	case <-returned:
		t.Error("it returns while the upstream is still to be closed")
	case <-time.After(50 * time.Millisecond):
	}
	close(down.released)
	select {
	case closes := <-returned:
		if n := up.closes.Load(); n != closes {
			t.Errorf("closed %d times, and %d when it returned", n, closes)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not return")
	}
}
