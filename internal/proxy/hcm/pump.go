package hcm

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// past is a deadline that makes reads and writes return at once.
var past = time.Unix(1, 0)

// pump sends a request's content upstream while the answer is awaited. Both sides
// move the deadlines of both connections; who ends the other sets a flag first and
// the deadline then, and who moves a deadline looks at the flag afterwards. So a
// deadline in the past is never overwritten unseen.
type pump struct {
	done     chan struct{}
	err      error     // this and what follows is valid once done is closed
	ended    time.Time // for the log
	at       time.Time // of the end
	received int64
	whole    atomic.Bool // all of the content was read: the client can send its next request
	client   atomic.Bool // the client's side failed: nobody waits for an answer to half a request
	moved    atomic.Bool // the client has sent something since it was looked at last
	stopped  atomic.Bool // the answer is there: nobody waits for the rest of the request
}

// readUntil sets the deadline for the answer.
func (s *session) readUntil(conn *upstream.Conn, d time.Time) {
	conn.SetReadDeadline(d)
	if s.interrupted() {
		conn.SetReadDeadline(past)
	}
}

// interrupted tells whether nobody waits for the answer any more.
func (s *session) interrupted() bool {
	return s.pump != nil && s.pump.client.Load() || s.lost.Load()
}

// startPump takes over the request's body and the connection's write side until
// it is done.
func startPump(s *session, conn *upstream.Conn, idle time.Duration) *pump {
	p := &pump{done: make(chan struct{})}
	rq := &s.x.Request
	var trailer *exchange.Header
	if conn.Trailers() {
		trailer = &rq.Trailer
	}
	s.nc.SetReadDeadline(s.bodyDeadline(idle))
	body, _ := rq.Body.(content)
	src := &timedBody{p: p, s: s, body: body, conn: conn, idle: idle}
	go func() {
		defer close(p.done)
		defer func() {
			if r := recover(); r != nil { // a fault in us ends the request, not the process
				p.err = fmt.Errorf("sending the content failed: %v", r)
				conn.SetReadDeadline(past)
				s.m.o.Log.Error("sending a request's content failed", "panic", r, "stack", string(debug.Stack()))
			}
		}()
		p.err = conn.W.Copy(src, rq.ContentLength == exchange.UnknownLength, trailer)
		p.received, p.ended, p.at = src.n, s.stamp(), time.Now()
		var read *http1.ReadError
		if errors.As(p.err, &read) && !p.stopped.Load() {
			p.client.Store(true)
			conn.SetReadDeadline(past)
		}
	}()
	return p
}

// stop ends the pump, if need be by force, and gives its error.
func (p *pump) stop(s *session, conn *upstream.Conn) error {
	select {
	case <-p.done:
		p.settle(s.x)
		return p.err
	default:
	}
	p.stopped.Store(true)
	s.nc.SetReadDeadline(past)
	conn.SetWriteDeadline(past)
	<-p.done
	p.settle(s.x)
	if !p.whole.Load() {
		s.keep = false
	}
	return p.err
}

// settle notes what was sent, for the log.
func (p *pump) settle(x *exchange.Exchange) {
	x.BytesReceived, x.Sent, x.RequestEnd = p.received, p.ended, p.ended
}

// end gives when the request's end was sent: now, at the earliest, if it is not.
func (p *pump) end() time.Time {
	select {
	case <-p.done:
		return p.at
	default:
		return time.Now()
	}
}

// over tells whether the pump has ended.
func (p *pump) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// finished tells whether it has sent everything.
func (p *pump) finished() bool { return p.over() && p.err == nil }

// timedBody moves the deadlines of both sides with each read.
type timedBody struct {
	p    *pump
	s    *session
	body content
	conn *upstream.Conn
	idle time.Duration
	n    int64
}

// Buffered and Done let the writer see what is at hand.
func (t *timedBody) Buffered() int { return t.body.Buffered() }
func (t *timedBody) Done() bool    { return t.body.Done() }

func (t *timedBody) Read(b []byte) (int, error) {
	n, err := t.body.Read(b)
	t.n += int64(n)
	if t.idle > 0 && n > 0 {
		t.p.moved.Store(true)
		t.s.nc.SetReadDeadline(t.s.bodyDeadline(t.idle))
		t.conn.SetWriteDeadline(time.Now().Add(t.idle))
		if t.p.stopped.Load() {
			t.s.nc.SetReadDeadline(past)
			t.conn.SetWriteDeadline(past)
		}
	}
	if err == io.EOF || err == nil && t.body.Done() {
		t.p.whole.Store(true)
	}
	return n, err
}
