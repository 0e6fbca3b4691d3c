package hcm

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/tracing"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// forward sends the request to the route's cluster and the answer back.
func (s *session) forward(r *route.Route) {
	x := &s.x
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
	r.Rewrite(x, choice)
	if x.Request.Path == "" || !http1.ValidAuthority(x.Request.Authority) {
		x.Reply(503, "", "invalid_rewrite")
		s.respondLocal(r)
		return
	}
	s.expectedTimeout(f)
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
		cluster.Counts.Rq.Inc(x.Response.Status)
		s.respondLocal(r)
	case x.Response.Status == 101:
		s.upgrade(r, choice, conn)
	default:
		s.relay(r, choice, conn)
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

func (s *session) expectedTimeout(f *route.Forward) {
	if s.m.suppressHeaders || f.Timeout <= 0 {
		return
	}
	h := &s.x.Request.Header
	if f.Timeout == 15*time.Second {
		h.Set("x-envoy-expected-rq-timeout-ms", "15000")
		return
	}
	h.Set("x-envoy-expected-rq-timeout-ms", strconv.FormatInt(f.Timeout.Milliseconds(), 10))
}

// limits of one request's way through an upstream.
type limits struct {
	total   time.Time // of the whole answer; zero: none
	timeout *broken   // what total means
	idle    time.Duration
}

// idle is how long nothing may happen; 0: any time.
func (s *session) idle(f *route.Forward) time.Duration {
	if f.Idle >= 0 {
		return f.Idle
	}
	return s.m.streamIdle
}

func (s *session) limits(f *route.Forward) limits {
	l := limits{timeout: errTimeout, idle: s.idle(f)}
	now := time.Now()
	answer, stream := s.timeouts(f)
	if answer > 0 && s.x.Request.Upgrade == "" {
		l.total = now.Add(answer)
	}
	for _, d := range [2]time.Duration{stream, s.m.maxStream} {
		if d > 0 && (l.total.IsZero() || now.Add(d).Before(l.total)) {
			l.total, l.timeout = now.Add(d), errMaxStream
		}
	}
	return l
}

// next gives the deadline of the next read, and what its passing means.
func (l *limits) next(try time.Time) (time.Time, *broken) {
	d, what := l.total, l.timeout
	if !try.IsZero() && (d.IsZero() || try.Before(d)) {
		d, what = try, errPerTry
	}
	if l.idle > 0 {
		if i := time.Now().Add(l.idle); d.IsZero() || i.Before(d) {
			d, what = i, errStreamIdle
		}
	}
	return d, what
}

// try asks hosts of the cluster until one has answered with a head, as often as
// the route's retry policy says. A connection from the pool that turns out to be
// dead before any byte came back does not count, if the request may be repeated.
func (s *session) try(r *route.Route, choice route.Choice, cluster *upstream.Cluster) (*upstream.Conn, error) {
	x, f := &s.x, r.Forward
	l := s.limits(f)
	fresh, again := false, 0
	retry := f.Retry.For(x)
	ask := upstream.Ask{Authority: x.Request.Authority, Port: s.port(), Hash: x.Hash, Criteria: choice.Criteria}
	retrying := false
	defer func() {
		if retrying {
			cluster.EndRetry()
		}
	}()
	for {
		s.x.Attempts++
		if f.Attempts {
			x.Request.Header.Set("x-envoy-attempt-count", strconv.Itoa(s.x.Attempts))
		}
		host, err := cluster.Pick(s.ctx, ask)
		if err != nil {
			return nil, err
		}
		x.UpstreamHost = host.Text
		if f.AutoHost && host.Name != "" {
			x.Request.Authority = host.Name
		}
		var try *tracing.Span
		if s.span != nil {
			try = s.span.Try(x)
		}
		conn, err := s.once(f, host, &l, fresh)
		replay := s.replayable()
		if err == nil {
			if retry == nil || !replay || s.x.Attempts > retry.Times || !retry.Answer(&x.Response) || !s.mayRetry(cluster, &retrying, retry, &l) {
				cluster.Counts.Answered(x.Response.Status, s.x.Attempts)
				try.EndTry(x, false, tracing.Reset{})
				return conn, nil
			}
			cluster.Counts.Retried.Inc(x.Response.Status)
			try.EndTry(x, true, tracing.Reset{})
			s.put(conn, false)
			s.forget()
			avoid(&ask, retry, host)
			continue
		}
		if err == errStale { // whose span is that of the next
			s.x.Attempts--
			fresh = true
			continue
		}
		if err == errRefused && replay && again < maxAgain {
			again++
			s.x.Attempts--
			continue
		}
		try.EndTry(x, false, why(err))
		if retry == nil || !replay || s.x.Attempts > retry.Times || !retriable(retry, err) || !s.mayRetry(cluster, &retrying, retry, &l) {
			return nil, err
		}
		s.forget()
		avoid(&ask, retry, host)
	}
}

// mayRetry waits until the request may be sent again; false if it may not, since there
// are too many that are, or no time is left. Retrying notes that it is counted.
func (s *session) mayRetry(cluster *upstream.Cluster, retrying *bool, p *route.Retry, l *limits) bool {
	if !*retrying && !cluster.BeginRetry() {
		return false
	}
	*retrying = true
	cluster.Counts.RqRetry.Inc()
	if p.Base > 0 {
		cluster.Counts.RqBackoff.Inc()
	}
	return s.pause(p, l)
}

// avoid has the next try choose another endpoint, if the policy wants that.
func avoid(ask *upstream.Ask, p *route.Retry, host *upstream.Host) {
	if p.Choices > 0 {
		ask.Avoid, ask.Choices = append(ask.Avoid, host), p.Choices
	}
}

// maxAgain bounds how often a request is sent again that no upstream has processed.
const maxAgain = 3

// errStale is a connection from the pool that was dead.
var errStale = errors.New("stale connection")

func retriable(p *route.Retry, err error) bool {
	var c *upstream.ConnectError
	switch {
	case errors.As(err, &c):
		return p.Connect()
	case err == errPerTry:
		return p.Status(504)
	case err == errTerminated, err == errProtocol, err == errReset:
		return p.Reset()
	case err == errRefused:
		return p.Refused()
	}
	return false
}

// pause waits between tries; false if there is no time left.
func (s *session) pause(p *route.Retry, l *limits) bool {
	most := min(p.Base<<min(s.x.Attempts, 10), p.Max)
	if most <= 0 {
		return true
	}
	d := rand.N(most)
	if !l.total.IsZero() && time.Now().Add(d).After(l.total) {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// forget drops the answer of an earlier try.
func (s *session) forget() {
	s.x.Response.Header.Reset()
	s.x.Response.Trailer.Reset()
	s.x.Response.Body = nil
	s.x.Response.Status = 0
}

// replayable tells whether the request can be sent again: it has no content, or
// all of it is still at hand.
func (s *session) replayable() bool {
	b := s.x.Request.Body
	if b == nil {
		return true
	}
	if s.pump != nil {
		return false
	}
	_, whole := wholeBody(b)
	return whole
}

func wholeBody(body io.Reader) ([]byte, bool) {
	if b, ok := body.(content); ok {
		return b.Whole()
	}
	return nil, false
}

// idempotent methods may be repeated without asking (RFC 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

// once sends the request to one host and reads the answer's head.
func (s *session) once(f *route.Forward, host *upstream.Host, l *limits, fresh bool) (*upstream.Conn, error) {
	x := &s.x
	repeat := s.replayable() && idempotent(x.Request.Method)
	var conn *upstream.Conn
	for {
		var err error
		if conn, err = host.Get(s.ctx, l.total, fresh, x.Request.ProtoMajor); err != nil {
			reportUnconnected(host, err, l)
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
	s.watch(conn)
	x.UpstreamMajor = 1
	if conn.HTTP2() {
		x.UpstreamMajor = 2
	}
	x.UpstreamLocal = exchange.AddrPort(conn.LocalAddr())
	err := s.send(conn, l)
	if s.pump == nil { // else it tells
		x.RequestEnd, x.Sent = x.Start, s.stamp()
	}
	if err == nil {
		err = s.head(conn, f, l)
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
func (s *session) send(conn *upstream.Conn, l *limits) error {
	x := &s.x
	if l.idle > 0 {
		conn.SetWriteDeadline(time.Now().Add(l.idle))
	}
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
		return sent(err)
	}
	if x.Request.Body == nil {
		return sent(conn.W.Flush())
	}
	if whole {
		err := conn.W.Bytes(all)
		if err == nil {
			err = conn.W.Flush()
		}
		s.x.BytesReceived = int64(len(all))
		return sent(err)
	}
	if b, ok := x.Request.Body.(content); ok && s.expect && b.Buffered() == 0 {
		if s.w.Interim(&goOn) != nil {
			return errClient
		}
	}
	s.pump = startPump(s, conn, l.idle)
	return nil
}

// goOn is 100 (Continue).
var goOn = exchange.Response{Status: http.StatusContinue}

// sent tells what a failure to send means. The server may have answered nevertheless:
// a stream of HTTP/2 may end before its request does.
func sent(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, http2.ErrNotProcessed):
		return errRefused
	}
	return errTerminated
}

// maxInterim bounds the 1xx answers before the final one.
const maxInterim = 16

// head reads the answer's head, past interim ones.
func (s *session) head(conn *upstream.Conn, f *route.Forward, l *limits) error {
	var try time.Time
	if f.Retry != nil && f.Retry.PerTry > 0 {
		try = time.Now().Add(f.Retry.PerTry)
	}
	deadline, what := l.next(try)
	s.readUntil(conn, deadline)
	x := &s.x
	for range maxInterim {
		for {
			err := conn.Head(&x.Response, x.Request.Method)
			if err == nil {
				break
			}
			if errors.Is(err, os.ErrDeadlineExceeded) && what == errStreamIdle && s.pump != nil {
				if s.pump.moved.Swap(false) { // idle is who does not send either
					deadline, what = l.next(try)
					s.readUntil(conn, deadline)
					continue
				}
				if !s.pump.finished() {
					what = errRequestIdle
				}
			}
			s.forget()
			return unanswered(err, what)
		}
		if x.Response.Status >= 200 {
			x.Answered = s.m.o.Now()
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
	s.deadline(l.idle)
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
