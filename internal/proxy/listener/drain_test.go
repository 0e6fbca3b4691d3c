package listener_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/listener"
)

// gated is a socket from which nobody accepts until the gate is open.
type gated struct {
	*net.TCPListener
	gate chan struct{}
}

func (g *gated) Accept() (net.Conn, error) {
	<-g.gate
	return g.TCPListener.Accept()
}

func get(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	sendGet(t, c)
	return answer(t, c)
}

func sendGet(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	rs, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, rs.Body)
	return rs
}

// TestQueueServed: what the kernel has accepted before the end is served, although
// nobody has accepted it yet, and then nobody is.
func TestQueueServed(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) {}), ""))
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	g := &gated{ln, make(chan struct{})}
	p.Listener, p.addr = listener.On(p.compile(plainListener("")), g), ln.Addr().String()
	defer p.Close()
	var waiting []net.Conn
	for range 50 {
		c := p.dial(t, nil)
		sendGet(t, c) // at once: one that drains and is silent for a second is closed
		waiting = append(waiting, c)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.Stop(0)
	}()
	close(g.gate)
	for _, c := range waiting {
		if rs := answer(t, c); rs.StatusCode != 200 {
			t.Fatal(rs.Status)
		}
	}
	<-stopped
	if c, err := net.Dial("tcp", p.addr); err == nil {
		c.Close()
		t.Error("a connection was made after the end")
	}
}

// late is a listener whose deadlines have always passed before it accepts, as on a machine
// that is busy.
type late struct{ *gated }

func (l late) SetDeadline(t time.Time) error {
	if time.Until(t) < 100*time.Millisecond {
		t = time.Unix(1, 0)
	}
	err := l.TCPListener.SetDeadline(t)
	select {
	case <-l.gate:
	default:
		close(l.gate)
	}
	return err
}

// TestQueueServedLate: the queue is served however late it is looked at.
func TestQueueServedLate(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) {}), ""))
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	p.Listener, p.addr = listener.On(p.compile(plainListener("")), late{&gated{ln, make(chan struct{})}}), ln.Addr().String()
	defer p.Close()
	var waiting []net.Conn
	for range 10 {
		waiting = append(waiting, p.dial(t, nil))
	}
	go p.Stop(0)
	for _, c := range waiting {
		if rs := get(t, c); rs.StatusCode != 200 {
			t.Fatal(rs.Status)
		}
	}
}

// TestDrainTold: a connection that drains serves what comes, also by new connections
// to the upstream, tells the client so, and ends then. An answer that is made while the
// drain begins tells it too.
func TestDrainTold(t *testing.T) {
	inside, release := make(chan struct{}, 1), make(chan struct{})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-release }), ""))
	p.start(plainListener(""))
	busy, idle := p.dial(t, nil), p.dial(t, nil)
	answered := make(chan *http.Response)
	go func() { answered <- get(t, busy) }()
	<-inside
	p.Stop(0)
	close(release)
	if rs := <-answered; rs.StatusCode != 200 || !rs.Close {
		t.Errorf("in flight: %s, close: %v", rs.Status, rs.Close)
	}
	if rs := get(t, idle); rs.StatusCode != 200 || !rs.Close {
		t.Errorf("idle: %s, close: %v", rs.Status, rs.Close)
	}
	ended(t, idle)
	ended(t, busy)
	if err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAnnounce: new connections are taken while clients are told to leave.
func TestAnnounce(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) {}), ""))
	p.start(plainListener(""))
	p.Announce()
	c := p.dial(t, nil)
	if rs := get(t, c); rs.StatusCode != 200 || !rs.Close {
		t.Errorf("%s, close: %v", rs.Status, rs.Close)
	}
}

// TestDrainTCP: bytes are carried until Close, which ends both sides.
func TestDrainTCP(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", echoes(t, false), ""))
	p.start(plainTCP)
	c := p.dial(t, nil)
	alive(t, c)
	p.Stop(0)
	alive(t, c)
	past, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if p.Wait(past) == nil {
		t.Error("nothing is waited for")
	}
	p.Close()
	ended(t, c)
}
