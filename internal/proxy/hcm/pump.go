package hcm

import (
	"errors"
	"io"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// pump sends a request's content upstream while the answer is awaited.
type pump struct {
	done   chan struct{}
	err    error // valid once done is closed
	client bool  // the client's side failed
}

// startPump takes over the request's body and the connection's write side until
// it is done.
func startPump(s *session, conn *upstream.Conn, idle time.Duration) *pump {
	p := &pump{done: make(chan struct{})}
	rq := &s.x.Request
	src := &timedBody{s: s, body: rq.Body, conn: conn, idle: idle}
	go func() {
		defer close(p.done)
		p.err = conn.W.Copy(src, rq.ContentLength == exchange.UnknownLength, &rq.Trailer)
		var read *http1.ReadError
		if errors.As(p.err, &read) {
			p.client = true
			conn.SetReadDeadline(time.Unix(1, 0)) // nobody waits for an answer to half a request
		}
		s.entry.Received = src.n
	}()
	return p
}

// stop ends the pump, if need be by force, and gives its error.
func (p *pump) stop(s *session, conn *upstream.Conn) error {
	select {
	case <-p.done:
	default:
		s.nc.SetReadDeadline(time.Unix(1, 0))
		conn.SetWriteDeadline(time.Unix(1, 0))
		<-p.done
		s.keep = false
		p.client = false
	}
	return p.err
}

// wait waits for a pump that needs no force.
func (p *pump) finished() bool {
	select {
	case <-p.done:
		return p.err == nil
	default:
		return false
	}
}

// timedBody moves the deadlines of both sides with each read.
type timedBody struct {
	s    *session
	body io.Reader
	conn *upstream.Conn
	idle time.Duration
	n    int64
}

// Buffered lets the writer see what is at hand.
func (t *timedBody) Buffered() int {
	if b, ok := t.body.(interface{ Buffered() int }); ok {
		return b.Buffered()
	}
	return 0
}

func (t *timedBody) Read(b []byte) (int, error) {
	n, err := t.body.Read(b)
	t.n += int64(n)
	if t.idle > 0 && n > 0 {
		now := time.Now()
		t.s.nc.SetReadDeadline(now.Add(t.idle))
		t.conn.SetWriteDeadline(now.Add(t.idle))
	}
	return n, err
}
