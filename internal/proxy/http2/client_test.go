package http2

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// dial gives a client's connection, and the server that it talks to.
func dial(t testing.TB, o Options, settings ...xh2.Setting) (*Conn, *peer) {
	t.Helper()
	a, b := pair(t, true)
	p := newPeer(t, b)
	ended := newGate()
	c := Dial(a, o, p.n, func() {}, ended.open)
	t.Cleanup(func() { b.Close(); ended.await() })
	preface := make([]byte, len(xh2.ClientPreface))
	if _, err := io.ReadFull(b, preface); err != nil || string(preface) != xh2.ClientPreface {
		t.Fatalf("preface %q, %v", preface, err)
	}
	p.fr.WriteSettings(settings...)
	if f, ok := p.next().(*xh2.SettingsFrame); !ok {
		t.Fatalf("first frame is %v", f)
	}
	p.fr.WritePing(false, [8]byte{1})
	if f, ok := p.next().(*xh2.PingFrame); !ok || !f.IsAck() { // our SETTINGS are in force
		t.Fatalf("no answer to PING: %v", f)
	}
	return c, p
}

// ask sends a request without content.
func ask(t testing.TB, c *Conn) *Stream {
	t.Helper()
	st, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	rq := &exchange.Request{Method: "GET", Scheme: "http", Authority: "a", Path: "/"}
	if err := st.Request(rq, false); err != nil {
		t.Fatal(err)
	}
	if err := st.Flush(); err != nil {
		t.Fatal(err)
	}
	st.SetReadDeadline(time.Now().Add(10 * time.Second))
	return st
}

func TestAnswer(t *testing.T) {
	c, p := dial(t, Defaults())
	st := ask(t, c)
	if got := p.message(1); got != ":method: GET\n:scheme: http\n:authority: a\n:path: /\n" {
		t.Errorf("%q", got)
	}
	p.headers(1, false, ":status: 100")
	p.headers(1, false, ":status: 103", "link: x", "content-length: 0")
	p.headers(1, false, ":status: 102")
	p.headers(1, false, ":status: 200", "a: b")
	p.fr.WriteData(1, false, []byte("content"))
	p.headers(1, true, "grpc-status: 5")
	for _, want := range []string{"103 [{link x}]", "102 []"} {
		var rs exchange.Response
		if err := st.ReadResponse(&rs); err != nil || fmt.Sprint(rs.Status, rs.Header.Fields()) != want || rs.Body != nil {
			t.Errorf("%d %v %v, want %s", rs.Status, rs.Header.Fields(), err, want)
		}
	}
	var rs exchange.Response
	if err := st.ReadResponse(&rs); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rs.Body)
	if rs.Status != 200 || rs.Header.Get("a") != "b" || string(b) != "content" || err != nil || rs.Trailer.Get("grpc-status") != "5" {
		t.Errorf("%+v, %q, %v", rs, b, err)
	}
	st.Release()
}

// TestInterimFlood holds that answers of 1xx are bounded in number and size.
func TestInterimFlood(t *testing.T) {
	for name, tt := range map[string]struct {
		number int
		value  string
	}{"many": {maxInterim + 1, "x"}, "large": {maxInterim / 2, strings.Repeat("x", 10<<10)}} {
		c, p := dial(t, Defaults())
		st := ask(t, c)
		go func() {
			for range tt.number {
				p.headers(1, false, ":status: 103", "link: "+tt.value)
			}
		}()
		var err error
		for n := 0; err == nil && n < tt.number; n++ {
			err = st.ReadResponse(new(exchange.Response))
		}
		if err != ErrMalformed {
			t.Errorf("%s: %v", name, err)
		}
		st.Release()
	}
}

// TestBadAnswers holds that each ends its stream, and the next request is served.
func TestBadAnswers(t *testing.T) {
	for name, fields := range map[string][]string{
		"no status":         {"a: b"},
		"bad status":        {":status: 2000"},
		"switching":         {":status: 101"},
		"request's field":   {":status: 200", ":path: /"},
		"upper case":        {":status: 200", "A: b"},
		"LF":                {":status: 200", "a: b\nc: d"},
		"transfer-encoding": {":status: 200", "transfer-encoding: chunked"},
		"two lengths":       {":status: 200", "content-length: 1", "content-length: 2"},
		"interim that ends": {":status: 100"},
	} {
		c, p := dial(t, Defaults())
		st := ask(t, c)
		p.headers(1, true, fields...)
		if err := st.ReadResponse(new(exchange.Response)); err != ErrMalformed {
			t.Errorf("%s: %v", name, err)
		}
		st.Release()
		st = ask(t, c)
		p.headers(3, true, ":status: 204")
		if err := st.ReadResponse(new(exchange.Response)); err != nil {
			t.Errorf("%s, then: %v", name, err)
		}
		st.Release()
	}
}

// TestCertainlyNotProcessed tells what may be sent again from what may not.
func TestCertainlyNotProcessed(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(p *peer)
		want error
	}{
		"refused":          {func(p *peer) { p.fr.WriteRSTStream(3, xh2.ErrCodeRefusedStream) }, ErrNotProcessed},
		"above GOAWAY":     {func(p *peer) { p.fr.WriteGoAway(1, xh2.ErrCodeNo, nil) }, ErrNotProcessed},
		"below GOAWAY":     {func(p *peer) { p.fr.WriteGoAway(3, xh2.ErrCodeNo, nil); p.nc.Close() }, ErrClosed},
		"another reset":    {func(p *peer) { p.fr.WriteRSTStream(3, xh2.ErrCodeInternal) }, &ResetError{xh2.ErrCodeInternal}},
		"connection ended": {func(p *peer) { p.nc.Close() }, ErrClosed},
	} {
		c, p := dial(t, Defaults())
		a, b := ask(t, c), ask(t, c)
		p.message(3) // both have come
		tt.end(p)
		if err := b.ReadResponse(new(exchange.Response)); err == nil || err.Error() != tt.want.Error() {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		b.Release()
		if strings.HasSuffix(name, "GOAWAY") {
			if _, err := c.Open(); err != ErrClosed {
				t.Errorf("%s: another stream: %v", name, err)
			}
		}
		if name == "above GOAWAY" {
			p.headers(1, true, ":status: 204")
			if err := a.ReadResponse(new(exchange.Response)); err != nil {
				t.Errorf("the one in flight: %v", err)
			}
		}
		a.Release()
		if name == "above GOAWAY" && p.ended() == "" {
			t.Error("the connection stays")
		}
	}
}

// TestNotSent holds that a request for which the connection ended too early may be
// sent again.
func TestNotSent(t *testing.T) {
	a, b := pair(t, true)
	ended := newGate()
	c := Dial(a, Defaults(), nil, func() {}, ended.open)
	st, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	ended.await()
	if err := st.Request(&exchange.Request{Method: "POST", Scheme: "http", Authority: "a", Path: "/"}, false); err != nil {
		t.Fatal(err)
	}
	if err := st.Flush(); err != ErrNotProcessed {
		t.Error(err)
	}
	st.Release()
}

// TestNotReadHoldsUpNobody holds that an answer that nobody reads stays within its
// stream's window and leaves the connection to others.
func TestNotReadHoldsUpNobody(t *testing.T) {
	o := Defaults()
	o.StreamWindow, o.ConnWindow = 65535, 65535
	c, p := dial(t, o)
	var stalled []*Stream
	for i := range uint32(4) {
		stalled = append(stalled, ask(t, c))
		id := 2*i + 1
		p.headers(id, false, ":status: 200")
		for range 4 {
			p.fr.WriteData(id, false, make([]byte, 65532/4))
		}
		if err := stalled[i].ReadResponse(new(exchange.Response)); err != nil {
			t.Fatal(err)
		}
	}
	st := ask(t, c)
	p.message(9) // past all requests
	p.headers(9, false, ":status: 200")
	p.fr.WriteData(9, true, []byte("served"))
	var rs exchange.Response
	if err := st.ReadResponse(&rs); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(rs.Body); string(b) != "served" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	p.fr.WriteData(1, false, make([]byte, 10))
	if got := p.message(1); got != "RST FLOW_CONTROL_ERROR" {
		t.Errorf("beyond the window: %q", got)
	}
	st.Release()
	for _, s := range stalled {
		s.Release()
	}
	if got := p.message(7); got != "RST CANCEL" {
		t.Errorf("a stream that was left: %q", got)
	}
}

// TestFull holds that no more streams are begun than both sides want.
func TestFull(t *testing.T) {
	c, p := dial(t, Defaults(), xh2.Setting{ID: xh2.SettingMaxConcurrentStreams, Val: 1})
	st := ask(t, c)
	if _, err := c.Open(); err != ErrFull {
		t.Error(err)
	}
	p.headers(1, true, ":status: 204")
	if err := st.ReadResponse(new(exchange.Response)); err != nil {
		t.Error(err)
	}
	st.Release()
	st = ask(t, c)
	st.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if err := st.ReadResponse(new(exchange.Response)); err != os.ErrDeadlineExceeded {
		t.Error(err)
	}
	st.Release()
}

// TestKeepalive holds that a server which does not answer PING loses its connection.
func TestKeepalive(t *testing.T) {
	o := Defaults()
	o.PingInterval, o.PingTimeout = 20*time.Millisecond, 20*time.Millisecond
	c, p := dial(t, o)
	st := ask(t, c)
	if err := st.ReadResponse(new(exchange.Response)); err != ErrClosed {
		t.Error(err)
	}
	st.Release()
	if p.n.KeepaliveTimeout.Load() != 1 {
		t.Error("not counted")
	}
}

// TestIdle holds that a connection without a stream ends in time.
func TestIdle(t *testing.T) {
	o := Defaults()
	o.Idle = 20 * time.Millisecond
	_, p := dial(t, o)
	if got := p.ended(); got != "NO_ERROR" {
		t.Error(got)
	}
}
