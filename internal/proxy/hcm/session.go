package hcm

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/tracing"
	"github.com/usher-mesh/usher/internal/proxy/traffic"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Connection is one downstream connection, past its handshake.
type Connection struct {
	Conn   net.Conn
	Prefix []byte // what was read of it already
	Info   *exchange.Conn
	// Current gives the manager in force; nil: the connection must end.
	Current func() *Manager
	// Draining tells whether the connection is to end once its client has been told so
	// by an answer.
	Draining func() bool
	// Idle tells when the connection waits for a request (true) and when it has
	// one. While it waits, a read deadline in the past makes it ask Current and
	// Draining again.
	Idle func(bool)
	// Last has a connection that goes on without further requests judged again when
	// what it was judged by changes, and after until (zero: no bound). End is called
	// once, if judge says no; nobody judges any more when stop returns. Judge may
	// call Current.
	Last func(judge func() (until time.Time, ok bool), until time.Time, end func()) (stop func())
}

// session serves a connection.
type session struct {
	ctx   context.Context
	c     *Connection
	nc    net.Conn
	r     *http1.Reader // nil on HTTP/2
	w     responder
	x     *exchange.Exchange // nil while an HTTP/1.1 connection waits for a request
	began time.Time
	count int64
	ended time.Time // of the request before
	asks  asks
	waiting
	peer string // the client's address, once it was asked for

	// tunnel is the authority of the CONNECT that the requests come through, ""
	// outside of one.
	tunnel string

	m *Manager // in force when the current request came
	current
	way
	id     [36]byte
	xfccOf *Manager
	xfcc   string
	dateAt int64
	date   string
}

// current is what a session holds of the request that it serves: nothing of it, nor of the
// configuration of its time, is held while no request is there.
type current struct {
	snap   *snapshot.Snapshot
	table  *route.Table
	keep   bool // the connection goes on after it
	expect bool // the client waits for 100 (Continue)
	// emptyTimeout: a timeout is answered with 204 (x-envoy-upstream-rq-timeout-alt-response).
	emptyTimeout bool
	taken        bool // the connection was handed over (upgrade, CONNECT)
	truncated    bool // the response broke off: the client is reset
	counted      bool // as a request that is under way
	heldReuse    bool // held may be used again
	pump         *pump
	to           *upstream.Cluster // where it is forwarded to; nil: nowhere yet
	span         *tracing.Span     // nil: the request is not traced
	whole        time.Time         // when the request must be whole (request_timeout); zero: no bound
	limits       limits
	stream       streamBody
	held         *upstream.Conn    // goes back to its pool when the request is over
	asked        *exchange.Request // the request as it came, if the connection may outlive it
	// websocketKey is what the server must show to have understood.
	websocketKey string
}

// Serve serves requests until the connection ends, and closes it. What waits for an
// upstream meanwhile ends with ctx.
func Serve(ctx context.Context, c *Connection) {
	m := c.Current()
	if m == nil {
		c.Conn.Close()
		return
	}
	defer m.stats.opened(c.Info.TLS)()
	m.stats.CxReceived.Add(uint64(len(c.Prefix)))
	if m.speaksHTTP2(c.Info) {
		serveHTTP2(ctx, c, m, c.Prefix)
		return
	}
	s := newSession(ctx, c, m.stats)
	defer s.end()
	s.loop()
}

func newSession(ctx context.Context, c *Connection, t *stats) *session {
	nc := &traffic.Conn{Conn: c.Conn, Received: &t.CxReceived, Sent: &t.CxSent}
	s := &session{ctx: ctx, c: c, nc: nc, r: http1.NewReader(c.Conn, c.Prefix), w: http1.NewWriter(nc), began: time.Now()}
	s.r.Received = nc.Received
	s.hooks()
	return s
}

func (s *session) end() {
	if s.x != nil {
		s.x.End()
	}
	s.abandon()
	if !s.taken {
		s.nc.Close()
	}
	s.r.Close()
	s.w.(*http1.Writer).Close()
}

func (s *session) loop() {
	for {
		s.r.Next()
		m, err := s.await()
		if m == nil {
			return
		}
		s.m = m
		if s.count == 0 && m.detectsHTTP2(s.c.Info) && s.r.Preface() {
			s.taken = true
			serveHTTP2(s.ctx, s.c, m, s.r.Take())
			return
		}
		if s.count == 0 {
			m.stats.CxHTTP1Total.Inc()
			m.stats.CxHTTP1Active.Add(1)
			defer m.stats.CxHTTP1Active.Add(-1)
		}
		if err == nil {
			s.one()
		} else {
			s.refuse(err)
		}
		if !s.keep {
			if !s.taken {
				s.linger()
			}
			return
		}
		s.rest()
	}
}

// waiting is how a wait for a head stands. It is no variable of await's, since what is on
// the stack of a connection that waits decides how large that stack stays.
type waiting struct {
	since, deadline time.Time
	begun, glanced  bool
}

// await waits for a whole head. It gives the manager that is in force then, nil
// if the connection must end without an answer, and what is wrong with the head.
func (s *session) await() (*Manager, error) {
	s.c.Idle(true)
	defer s.c.Idle(false)
	s.waiting = waiting{}
	m := s.c.Current()
	if m == nil {
		return nil, nil
	}
	s.r.Limits = m.limits
	for {
		ok, err := s.r.Complete()
		if ok || err != nil {
			m = s.c.Current() // policy may have changed while we waited
			if m != nil {
				s.r.Limits = m.limits
			}
			return m, err
		}
		if m = s.arm(m); m == nil {
			return nil, nil
		}
		if err := s.r.Fill(); err != nil {
			if m, err = s.overdue(err); m == nil || err != nil {
				return m, err
			}
		}
	}
}

// arm sets the deadline of what comes next. It gives the manager in force, as await does.
func (s *session) arm(m *Manager) *Manager {
	w := &s.waiting
	if !w.deadline.IsZero() && (w.begun || s.r.Buffered() == 0) {
		return m
	}
	now := s.ended // right before
	if now.IsZero() || !w.deadline.IsZero() {
		now = time.Now()
	}
	if w.deadline.IsZero() {
		w.since = now
	}
	w.begun = s.r.Buffered() > 0
	w.deadline = now.Add(m.wait(w.begun))
	s.nc.SetReadDeadline(w.deadline)
	if m = s.c.Current(); m == nil {
		return nil
	}
	if !w.begun && s.c.Draining() { // who asks after the deadline is set misses no call to look
		w.deadline = earlier(w.deadline, w.since.Add(quiet))
		s.nc.SetReadDeadline(w.deadline)
	}
	return m
}

// overdue judges a read that failed: without an error the wait goes on.
func (s *session) overdue(err error) (*Manager, error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	m := s.c.Current()
	if m == nil {
		return nil, nil
	}
	w := &s.waiting
	if !w.begun && s.c.Draining() {
		w.deadline = earlier(w.deadline, w.since.Add(quiet))
	}
	now := time.Now()
	switch {
	case now.Before(w.deadline):
		s.nc.SetReadDeadline(w.deadline)
	case w.begun:
		return m, errHeadTimeout
	case w.glanced:
		return nil, nil
	default: // what has come by now is served
		w.glanced = true
		s.nc.SetReadDeadline(now.Add(glance))
	}
	return m, nil
}

const (
	// quiet is how long the client of a connection that drains must have been silent
	// for it to be closed: one that goes on asking is told by an answer, and no
	// request crosses the end on its way.
	quiet = time.Second
	// glance is how long a last look takes at what the kernel holds.
	glance = time.Millisecond
)

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// errHeadTimeout is a head that did not come in time.
var errHeadTimeout = &http1.Error{Status: 408, Detail: "request_header_timeout", Reason: "the head did not come in time"}

// forever stands for no timeout.
const forever = 1 << 62

// wait gives how long to wait for a request, or for the rest of its head.
func (m *Manager) wait(begun bool) time.Duration {
	d := m.idle
	if begun {
		d = m.headers
	}
	if d <= 0 {
		return forever
	}
	return d
}

// refuse answers a message that is none; the connection is to end.
func (s *session) refuse(err error) {
	e := new(http1.Error)
	if !errors.As(err, &e) {
		return
	}
	s.start()
	s.countBegun()
	s.keep = false
	body := ""
	switch e.Status {
	case 400:
		body = "Bad Request"
	case 408:
		body = "request timeout"
	case 417:
		body = "Expectation Failed"
	case 426:
		body = "Upgrade Required"
	case 414:
		body = "URI Too Long"
	case 431:
		body = "Request Header Fields Too Large"
	case 501:
		body = "Not Implemented"
	}
	s.m.o.Log.Debug("request refused", slog.String("listener", s.m.o.Listener), slog.String("reason", e.Reason))
	s.x.Request.Header.Reset()
	s.x.Request.Body = nil
	s.x.Flags = "DPE"
	s.x.Reply(e.Status, body, e.Detail)
	if e.Status == http.StatusUpgradeRequired { // to what (RFC 9110, 15.5.22)
		s.x.Response.Header.Add("upgrade", "HTTP/1.1")
	}
	s.respondLocal(nil)
	s.finish()
}

// start makes the exchange ready for a request.
func (s *session) start() {
	if s.x == nil {
		s.take()
	} else {
		s.x.Reset()
	}
	s.x.Listener = s.m.o.Listener
	s.x.Start = time.Now()
	s.current = current{snap: s.m.o.Snapshot()}
	s.table = s.m.routes(s.snap)
	s.count++
}

// clock tells the time within a request, at half of what time.Now costs: by the clock that
// measures time alone, and so that no step of the other gets into what a request took.
func (s *session) clock() time.Time { return s.x.Start.Add(time.Since(s.x.Start)) }

// one serves one request whose head is buffered.
func (s *session) one() {
	s.start()
	x := s.x
	if err := s.r.Request(&x.Request); err != nil {
		s.refuse(err)
		s.keep = false
		return
	}
	s.countBegun()
	m := s.m
	s.keep = s.r.KeepAlive && !s.c.Draining() && (m.maxRequests == 0 || s.count < m.maxRequests) &&
		(m.maxAge == 0 || time.Since(s.began) < m.maxAge)
	s.expect = s.r.Expect
	s.x.OriginalPath = x.Request.Path
	if x.Request.Upgrade != "" || x.Request.Method == "CONNECT" {
		s.asked = x.Request.Clone()
	}
	s.bound()
	s.judge()
	s.finish()
}

// bound sets how long the request's content may take.
func (s *session) bound() {
	if s.m.requestTimeout > 0 {
		s.whole = time.Now().Add(s.m.requestTimeout)
	}
	if s.x.Request.Body != nil || s.asked != nil { // else nothing is read of the client before the next request
		s.nc.SetReadDeadline(s.bodyDeadline(s.m.streamIdle))
	}
}

// bodyDeadline is when the next bytes of the request must be there: it may be silent
// for the idle time (0: any), and must be whole by request_timeout.
func (s *session) bodyDeadline(idle time.Duration) time.Time {
	d := s.whole
	if idle > 0 {
		if next := time.Now().Add(idle); d.IsZero() || next.Before(d) {
			d = next
		}
	}
	return d
}

// finish settles the connection's state and writes the request's one record.
func (s *session) finish() {
	defer func() {
		s.x.End()
		if s.held != nil {
			s.put(s.held, s.heldReuse)
			s.held = nil
		}
	}()
	if !s.taken && s.keep && !s.consumed() {
		s.keep = false
	}
	s.x.Ended = s.clock()
	s.countEnded()
	if s.span != nil {
		s.endTrace()
	}
	if len(s.m.logs) == 0 && s.m.o.Observe == nil {
		return
	}
	if s.x.RequestEnd.IsZero() && s.x.Request.Body == nil && s.x.Flags != "DPE" {
		s.x.RequestEnd = s.x.Start // no upstream was asked, and its head is all of it
	}
	if s.x.BytesSent == 0 {
		s.x.BytesSent = s.w.Content()
	}
	s.log("DownstreamEnd")
	if s.m.o.Observe != nil {
		s.m.o.Observe(s.x)
	}
}

// log writes the request as it is now. Kind is Envoy's AccessLogType.
func (s *session) log(kind string) {
	s.x.LogType = kind
	for _, l := range s.m.logs {
		l.Log(s.x)
	}
}

// stamp gives the time for what is logged; zero without a log.
func (s *session) stamp() time.Time {
	if len(s.m.logs) == 0 {
		return time.Time{}
	}
	return s.clock()
}

// consumed tells whether the request's body was read to its end, or can be.
func (s *session) consumed() bool {
	b, ok := s.x.Request.Body.(content)
	if !ok || b.Done() {
		return true
	}
	if _, whole := b.Whole(); whole {
		b.Skip()
		return true
	}
	return false
}
