package hcm

import (
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// relay sends the upstream's answer to the client and settles both connections.
func (s *session) relay(r *route.Route, c route.Choice, conn *upstream.Conn) {
	x := s.x
	x.Details = "via_upstream"
	h := &x.Response.Header
	s.tellAttempts(r.Forward)
	if !s.m.suppressHeaders {
		h.Set("x-envoy-upstream-service-time", strconv.FormatInt(x.Answered.Sub(x.Start).Milliseconds(), 10))
	}
	r.Respond(x, c)
	s.encode()
	s.complete()
	x.Replied = s.stamp()
	if s.pump != nil && !s.pump.whole.Load() {
		s.keep = false // an answer before the end of the request: no other can follow
	}
	err := s.write(r, conn)
	x.AnswerEnd = s.stamp()
	reuse := err == nil && conn.KeepAlive()
	if s.pump != nil {
		if s.pump.stop(s, conn) != nil {
			reuse = false
		}
		reuse = reuse && s.consumed()
	} else if b, ok := x.Request.Body.(content); ok && !b.Done() {
		b.Skip() // it was sent as a whole
	}
	_, ofUpstream := errors.AsType[*http1.ReadError](err)
	switch {
	case err == nil:
	case ofUpstream && s.stream.whole() && s.lost.Load():
		s.keep = false // it went with all of the length that it was told; the upstream's end alone was to come
	default:
		s.keep = false
		if ofUpstream && !s.lost.Load() {
			s.truncated = true
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				conn.Host().Failed()
			}
			x.Flags, x.Details = "UC", "upstream_reset_after_response_started{connection_termination}"
			if what := s.stream.late; what != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				x.Flags, x.Details = what.flags, what.detail
				s.countLate(conn.Host(), what)
			}
			s.passReset(err)
		} else {
			x.Flags, x.Details = "DC", "downstream_remote_disconnect"
		}
	}
	s.release(conn, reuse)
}

// release gives the connection back after the log was written: the answer's
// fields stand in its buffer.
func (s *session) release(conn *upstream.Conn, reuse bool) {
	s.held, s.heldReuse = conn, reuse
}

// write writes the answer. A failure of the upstream is an *http1.ReadError.
func (s *session) write(r *route.Route, conn *upstream.Conn) error {
	x := s.x
	f := s.framing()
	if x.Response.ContentLength < 0 && x.Response.Body != nil && f.HTTP10 {
		s.keep, f.Close = false, true
	}
	src, _ := x.Response.Body.(content)
	var all []byte
	whole := false
	if src != nil {
		if all, whole = src.Whole(); whole {
			x.Response.ContentLength = int64(len(all))
		}
	}
	chunked, err := s.w.Response(&x.Response, f)
	if err != nil {
		s.w.Discard()
		return err
	}
	s.deadline(x.Answered, s.idle(r.Forward))
	if src == nil {
		return s.w.Flush()
	}
	if whole {
		if err := s.w.Bytes(all); err != nil {
			return err
		}
		src.Skip()
		return s.w.Flush()
	}
	s.stream = streamBody{s: s, body: src, conn: conn, step: s.limits.step(), left: x.Response.ContentLength}
	var trailer *exchange.Header
	if s.m.limits.Trailers || s.r == nil {
		trailer = &x.Response.Trailer
	}
	err = s.w.Copy(&s.stream, chunked, trailer)
	if s.stream.stop != nil {
		s.stream.stop()
	}
	return err
}

// streamBody moves the deadlines of both sides with each read of a long answer.
type streamBody struct {
	s    *session
	body content
	conn *upstream.Conn
	left int64 // of the length that the client was told; below 0: it was told none
	step time.Duration
	at   time.Time // when the deadlines were moved last
	late *broken   // what their passing means
	stop func()    // ends the look at the client, which begins with the first wait
}

// whole tells whether the client has all of the length that it was told.
func (t *streamBody) whole() bool { return t.s != nil && t.left == 0 }

// Buffered and Done let the writer see what is at hand.
func (t *streamBody) Buffered() int { return t.body.Buffered() }
func (t *streamBody) Done() bool    { return t.body.Done() }

func (t *streamBody) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(t.at) > t.step {
		t.at = now
		var d time.Time
		d, t.late = t.s.limits.next(now, time.Time{})
		t.s.readUntil(t.conn, d)
		t.s.deadline(now, t.s.limits.idle)
	}
	if t.stop == nil && t.body.Buffered() == 0 && !t.body.Done() {
		t.stop = t.s.attend()
	}
	n, err := t.body.Read(b)
	if t.left > 0 {
		t.left -= int64(n)
	}
	return n, err
}

// upgrade answers 101 and carries bytes from there on.
func (s *session) upgrade(r *route.Route, c route.Choice, conn *upstream.Conn) {
	x := s.x
	x.Details = "via_upstream"
	r.Respond(x, c)
	s.encode()
	s.complete()
	s.deadline(time.Now(), s.idle(r.Forward))
	_, err := s.w.Response(&x.Response, s.framing())
	if err == nil {
		err = s.w.Bytes(conn.Take())
	}
	if err == nil {
		err = s.w.Flush()
	}
	s.keep = false
	if err == nil {
		conn.SetDeadline(noDeadline)
		s.outlive(conn.Conn, s.m.streamIdle)
	}
	s.release(conn, false)
}
