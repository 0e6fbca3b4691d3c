package hcm

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// forward sends the request to the route's cluster and the answer back.
func (s *session) forward(r *route.Route) {
	x := s.x
	f := r.Forward
	if !s.upgradeAllowed(r) { // a filter may have led it to another route
		s.respondLocal(r)
		return
	}
	choice := f.Choose(x)
	cluster := s.cluster(choice.Cluster)
	if cluster == nil {
		x.Flags = "NC"
		x.Reply(f.NotFound, "", "cluster_not_found")
		s.respondLocal(r)
		return
	}
	cluster.Describe(x)
	s.limit(f)
	r.Rewrite(x, choice)
	if x.Request.Path == "" || !http1.ValidAuthority(x.Request.Authority) {
		x.Reply(503, "", "invalid_rewrite")
		s.respondLocal(r)
		return
	}
	s.to = cluster
	s.mirror(f)
	conn, err := s.try(r, choice, cluster)
	switch {
	case err == errClient:
		x.Flags, x.Details = "DC", "downstream_remote_disconnect"
		s.keep = false
		s.badBody(r)
	case err != nil:
		s.fail(r, err)
		s.tellAttempts(f)
		cluster.Counts.Rq.Inc(x.Response.Status)
		s.respondLocal(r)
	case x.Response.Status == 101:
		s.upgrade(r, choice, conn)
	default:
		s.relay(r, choice, conn)
	}
}

// tellAttempts tells the client how often the upstream was asked.
func (s *session) tellAttempts(f *route.Forward) {
	if f.AttemptsAnswer {
		s.x.Response.Header.Set(attemptCount, strconv.Itoa(s.x.Attempts))
	}
}

// badBody answers a request whose body turned out to be malformed.
func (s *session) badBody(r *route.Route) {
	var e *http1.Error
	if s.pump != nil && errors.As(s.pump.err, &e) {
		s.x.Flags = "DPE"
		s.x.Reply(e.Status, "Bad Request", e.Detail)
		s.respondLocal(r)
		return
	}
	if s.pump != nil && errors.Is(s.pump.err, os.ErrDeadlineExceeded) {
		if s.whole.IsZero() || time.Now().Before(s.whole) {
			s.fail(r, errRequestIdle)
		} else {
			s.x.Flags = "SI"
			s.x.Reply(408, "request timeout", "request_overall_timeout")
		}
		s.respondLocal(r)
	}
}

// upgradeAllowed refuses the upgrade that a request asks for, if there is one, where
// neither the route nor the manager allows it.
func (s *session) upgradeAllowed(r *route.Route) bool {
	kind := s.x.Request.Upgrade
	if kind == "" {
		return true
	}
	on := s.m.upgrades[kind]
	if r.Forward != nil {
		if own, ok := r.Forward.Upgrades[kind]; ok {
			on = own
		}
	}
	if !on {
		s.x.Reply(403, "", "upgrade_failed")
	}
	return on
}

// from is what of the request decides which connections it may have.
func (s *session) from() upstream.From {
	return upstream.From{Major: s.x.Request.ProtoMajor, Client: s.x.Conn, Priority: s.limits.priority}
}

// once sends the request to one host and reads the answer's head.
func (s *session) once(host *upstream.Host, fresh bool) (*upstream.Conn, error) {
	x, l := s.x, &s.limits
	repeat := s.replayable() && idempotent(x.Request.Method)
	var conn *upstream.Conn
	for {
		var err error
		if conn, err = host.Get(s.ctx, l.total, fresh, s.from()); err == upstream.ErrBusy {
			conn, err = s.awaitConnection(host)
		}
		if err != nil {
			reportUnconnected(host, err, l)
			if s.late(err) {
				err = l.timeout
			}
			return nil, err
		}
		if conn.Reused && !conn.Alive() {
			conn.Put(false)
			continue
		}
		break
	}
	host.Connected()
	host.Began()
	s.lead(conn)
	x.UpstreamMajor = 1
	if conn.HTTP2() {
		x.UpstreamMajor = 2
	}
	x.UpstreamLocal, x.Upstream = exchange.AddrPort(conn.LocalAddr()), conn.About()
	began := s.clock()
	var try time.Time // until when it may take; zero: no bound of its own
	if l.try > 0 {
		try = began.Add(l.try)
	}
	err := s.send(conn, l, began, try)
	if s.pump == nil { // else it tells
		x.RequestEnd, x.Sent = x.Start, s.stamp()
	}
	if err == nil {
		err = s.head(conn, l, began, try)
	}
	if err == nil {
		s.reportAnswer(host)
		host.Counts.Answered(x.Response.Status)
		return conn, nil
	}
	untouched := err == errTerminated && conn.Untouched()
	if s.pump != nil {
		if perr := s.pump.stop(s, conn); perr != nil && s.pump.client.Load() {
			err = errClient
		}
	}
	if s.lost.Load() {
		err = errClient
	}
	stale := untouched && conn.Reused && repeat && err != errClient
	s.put(conn, false)
	if stale {
		return nil, errStale
	}
	reportUnanswered(host, err)
	s.countUnanswered(host, err)
	return nil, err
}

// send writes the request's head and what is at hand of its content, and starts
// the pump for the rest.
func (s *session) send(conn *upstream.Conn, l *limits, now, try time.Time) error {
	x := s.x
	end, what := l.next(now, try)
	conn.SetWriteDeadline(end) // the connection has that of an earlier request
	if s.lost.Load() {
		return errClient
	}
	all, whole := wholeBody(x.Request.Body)
	if whole {
		x.Request.ContentLength = int64(len(all))
	}
	s.offerWebsocket(conn)
	if err := conn.W.Request(&x.Request, false); err != nil {
		if errors.Is(err, http1.ErrUnsent) {
			return errProtocol
		}
		return unsent(err, what)
	}
	if x.Request.Body == nil {
		return unsent(conn.W.Flush(), what)
	}
	if whole {
		err := conn.W.Bytes(all)
		if err == nil {
			err = conn.W.Flush()
		}
		s.x.BytesReceived = int64(len(all))
		return unsent(err, what)
	}
	if b, ok := x.Request.Body.(content); ok && s.expect && b.Buffered() == 0 {
		s.deadline(now, l.idle)
		if s.w.Interim(&goOn) != nil {
			return errClient
		}
	}
	conn.SetWriteDeadline(after(now, l.idle)) // who waits for the answer knows of the other bounds
	s.pump = startPump(s, conn, l.idle)
	return nil
}

// goOn is 100 (Continue).
var goOn = exchange.Response{Status: http.StatusContinue}

// unsent tells what a failure to send means; what is a passed deadline. The server may have
// answered nevertheless: a stream of HTTP/2 may end before its request does.
func unsent(err error, what *broken) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return what
	case errors.Is(err, http2.ErrNotProcessed):
		return errRefused
	}
	return errTerminated
}

// maxInterim bounds the 1xx answers before the final one.
const maxInterim = 16

// head reads the answer's head, past interim ones.
func (s *session) head(conn *upstream.Conn, l *limits, began, try time.Time) error {
	deadline, what := l.next(began, try)
	until := s.noticed(began, deadline)
	s.readUntil(conn, until)
	var stop func()
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	x := s.x
	for range maxInterim {
		for {
			err := conn.Head(&x.Response, x.Request.Method)
			if err == nil {
				break
			}
			if !until.Equal(deadline) && errors.Is(err, os.ErrDeadlineExceeded) && !s.interrupted() {
				stop, until = s.attend(), deadline
				s.readUntil(conn, until)
				continue
			}
			if s.pump != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				if s.early(what, &try) {
					deadline, what = l.next(time.Now(), try)
					until = deadline
					s.readUntil(conn, until)
					continue
				}
				if what == errStreamIdle && !s.pump.finished() {
					what = errRequestIdle
				}
			}
			s.forget()
			return unanswered(err, what)
		}
		if x.Response.Status >= 200 {
			x.Answered = s.clock()
			return nil
		}
		if x.Response.Status == 101 {
			if x.Request.Upgrade == "" || !s.websocketTaken(conn) {
				s.forget()
				return errProtocol
			}
			return nil
		}
		err := s.interim(l)
		s.forget() // its fields stand in the connection's buffer
		if err != nil {
			return errClient
		}
		conn.Interim()
	}
	return errProtocol
}

// interim passes an answer of 1xx on (RFC 9110, 15.2), such as 103 (Early Hints). A
// 100 is not: the proxy answers what expects one.
func (s *session) interim(l *limits) error {
	if s.x.Response.Status == http.StatusContinue || s.framing().HTTP10 {
		return nil
	}
	s.deadline(time.Now(), l.idle)
	return s.w.Interim(&s.x.Response)
}

// unanswered tells what it means that no head came. What is a passed deadline.
func unanswered(err error, what *broken) error {
	var bad *http1.Error
	var reset *http2.ResetError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return what
	case errors.Is(err, http2.ErrNotProcessed):
		return errRefused
	case errors.As(err, &reset):
		return errReset
	case errors.As(err, &bad), errors.Is(err, http2.ErrMalformed):
		return errProtocol
	}
	return errTerminated
}
