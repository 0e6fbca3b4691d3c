package http2

import (
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"
)

// drained serves a connection that drains from its start, as far as the first GOAWAY.
func drained(t *testing.T, o Options) *peer {
	p := serve(t, o, true, &handler{woken: func() Going { return Drains }, serve: func(st *Stream) { answer(st, "ok") }})
	p.goAway(lastStream)
	return p
}

// goAway wants a GOAWAY that names that stream to be the next, and no error.
func (p *peer) goAway(last uint32) {
	p.t.Helper()
	for {
		switch f := p.next().(type) {
		case nil:
			p.t.Fatal("no GOAWAY")
		case *xh2.GoAwayFrame:
			if f.LastStreamID != last || f.ErrCode != xh2.ErrCodeNo {
				p.t.Fatalf("%v, want one that names %d", f, last)
			}
			return
		}
	}
}

// TestDrain holds that a request which crosses the first GOAWAY is served, and that the
// last one follows when the client has read the first.
func TestDrain(t *testing.T) {
	o := Defaults()
	o.DrainTime = time.Hour
	p := drained(t, o)
	p.headers(1, true, get...)
	if got := p.message(1); got != ":status: 200\ncontent-length: 2\nok" {
		t.Errorf("%q", got)
	}
	p.fr.WritePing(true, [8]byte{'u', 's', 'h', 'e', 'r'}) // another's echo
	p.headers(3, true, get...)
	if got := p.message(3); got != ":status: 200\ncontent-length: 2\nok" {
		t.Errorf("%q", got)
	}
	p.fr.WritePing(true, drainPing)
	p.goAway(3)
	if f := p.next(); f != nil {
		t.Errorf("%v after the end", f)
	}
}

// TestDrainTime holds that a client which echoes no PING does not keep the connection.
func TestDrainTime(t *testing.T) {
	o := Defaults()
	o.DrainTime = 20 * time.Millisecond
	p := drained(t, o)
	p.goAway(0)
	if f := p.next(); f != nil {
		t.Errorf("%v after the end", f)
	}
}
