package hcm

import (
	"context"
	"io"
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
	select {
	case <-down.entered:
	case <-time.After(10 * time.Second):
		t.Fatal("the client's side is not closed")
	}
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

// pair is a connection over loopback, by its two ends.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// TestOutliveEnds: of an upgrade over HTTP/1.1 the log says which side has ended it, and nothing of
// what the proxy ends itself; a tunnel and a stream of HTTP/2 end by both sides.
func TestOutliveEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		upgrade string
		major   int
		idle    time.Duration
		ends    func(client, server *net.TCPConn, cancel func())
		flags   string
	}{
		"client":                           {"ws", 1, 0, func(client, _ *net.TCPConn, _ func()) { client.CloseWrite() }, "DC"},
		"server":                           {"ws", 1, 0, func(_, server *net.TCPConn, _ func()) { server.CloseWrite() }, "UC"},
		"reset":                            {"ws", 1, 0, func(_, server *net.TCPConn, _ func()) { server.SetLinger(0); server.Close() }, "UC"},
		"all ends":                         {"ws", 1, 0, func(_, _ *net.TCPConn, cancel func()) { cancel() }, ""},
		"idle":                             {"ws", 1, time.Millisecond, func(_, _ *net.TCPConn, _ func()) {}, ""},
		"HTTP/2":                           {"ws", 2, 0, func(client, server *net.TCPConn, _ func()) { client.CloseWrite(); server.CloseWrite() }, ""},
		"tunnel":                           {"", 1, 0, func(client, server *net.TCPConn, _ func()) { client.CloseWrite(); server.CloseWrite() }, ""},
		"all ends after the client's half": {"", 1, 0, func(client, server *net.TCPConn, cancel func()) { client.CloseWrite(); io.ReadAll(server); cancel() }, ""},
		"all ends after the server's half": {"", 1, 0, func(client, server *net.TCPConn, cancel func()) { server.CloseWrite(); io.ReadAll(client); cancel() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			client, near := pair(t)
			far, server := pair(t)
			stops := 0
			s := &session{ctx: ctx, nc: near, m: &Manager{}, x: new(exchange.Exchange), c: &Connection{
				Last: func(func() (time.Time, bool), time.Time, func()) func() { return func() { stops++ } }}}
			s.x.Request.Upgrade, s.x.Request.ProtoMajor = tt.upgrade, tt.major
			returned := make(chan struct{})
			go func() { defer close(returned); s.outlive(far, tt.idle) }()
			tt.ends(client, server, cancel)
			select {
			case <-returned:
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
			if s.x.Flags != tt.flags || s.x.Details != leftDetails[tt.flags] || stops != 1 {
				t.Errorf("flags %q, details %q, stopped %d times", s.x.Flags, s.x.Details, stops)
			}
		})
	}
}

// TestSideFirst: the side that ends first is named, though the other one ends, too.
func TestSideFirst(t *testing.T) {
	var left atomic.Pointer[string]
	for _, flag := range []string{"UC", "DC"} {
		near, far := net.Pipe()
		far.Close()
		if _, err := (side{near, flag, &left}).Read(make([]byte, 1)); err != io.EOF || *left.Load() != "UC" {
			t.Errorf("%s: %v, %s", flag, err, *left.Load())
		}
	}
}
