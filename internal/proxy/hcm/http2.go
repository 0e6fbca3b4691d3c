package hcm

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/traffic"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// responder sends a response: an http1.Writer, or a stream of HTTP/2.
type responder interface {
	Response(*exchange.Response, http1.Framing) (chunked bool, err error)
	Bytes([]byte) error
	String(string) error
	Copy(src io.Reader, chunked bool, trailer *exchange.Header) error
	Interim(*exchange.Response) error
	Flush() error
	Discard()
	Content() int64
}

type content = exchange.Content

func (m *Manager) http2Options(c *hcmv3.HttpConnectionManager) (err error) {
	if m.http2, err = http2.Compile(c.GetHttp2ProtocolOptions()); err != nil {
		return strict.At("http2_protocol_options", err)
	}
	if v := c.GetStreamErrorOnInvalidHttpMessage(); v != nil && c.GetHttp2ProtocolOptions().GetOverrideStreamErrorOnInvalidHttpMessage() == nil {
		m.http2.StreamErrors = v.GetValue()
	}
	if m.o.HTTPProxy && m.codecType == hcmv3.HttpConnectionManager_HTTP2 {
		return strict.Errorf("codec_type", "HTTP2 for an HTTP proxy: %w", strict.ErrUnsupported)
	}
	return nil
}

// HTTP2 tells whether connections may speak HTTP/2.
func (m *Manager) HTTP2() bool {
	return m.codecType != hcmv3.HttpConnectionManager_HTTP1 && !m.o.HTTPProxy
}

// speaksHTTP2 tells whether a connection speaks HTTP/2 from its first byte.
func (m *Manager) speaksHTTP2(c *exchange.Conn) bool {
	return m.HTTP2() && (m.codecType == hcmv3.HttpConnectionManager_HTTP2 || c.ALPN == "h2")
}

// detectsHTTP2 tells whether the first bytes decide. Other protocols of ALPN than the
// two of HTTP, such as the mesh's own, say nothing.
func (m *Manager) detectsHTTP2(c *exchange.Conn) bool { return m.HTTP2() && c.ALPN != "http/1.1" }

// streams serves the requests of a connection of HTTP/2: each has a session.
type streams struct {
	ctx   context.Context
	c     *Connection
	began time.Time
	count int64
}

// serveHTTP2 serves a connection until it ends. The manager's settings of HTTP/2 hold
// as long; what else it says is asked for with each request.
func serveHTTP2(ctx context.Context, c *Connection, m *Manager, first []byte) {
	o := m.http2
	o.Idle, o.HeadTime, o.DrainTime, o.CustomMethods = m.idle, m.headers, m.drain, m.limits.CustomMethods
	if n := m.limits.HeadBytes; n > 0 {
		o.HeadBytes = n
	}
	if n := m.limits.Fields; n > 0 {
		o.Fields = n
	}
	m.stats.CxHTTP2Total.Inc()
	m.stats.CxHTTP2Active.Add(1)
	defer m.stats.CxHTTP2Active.Add(-1)
	h := &streams{ctx: ctx, c: c, began: time.Now()}
	c.Idle(true)
	defer c.Idle(false)
	nc := &traffic.Conn{Conn: c.Conn, Received: &m.stats.CxReceived, Sent: &m.stats.CxSent}
	if err := http2.Serve(nc, first, h, o, m.o.HTTP2); err != nil {
		m.o.Log.Debug("connection refused", slog.String("listener", m.o.Listener), slog.Any("peer", c.Info.Remote), slog.Any("reason", err))
	}
}

// Woken implements http2.Handler.
func (h *streams) Woken() http2.Going {
	m := h.c.Current()
	switch {
	case m == nil || !m.HTTP2():
		return http2.Ends
	case h.c.Draining():
		return http2.Drains
	}
	return http2.Stays
}

// Begin implements http2.Handler.
func (h *streams) Begin(st *http2.Stream) bool {
	m := h.c.Current()
	if m == nil || !m.HTTP2() {
		return false
	}
	h.count++
	if m.maxRequests > 0 && h.count >= m.maxRequests || m.maxAge > 0 && time.Since(h.began) >= m.maxAge {
		st.Shutdown()
	}
	s, ok := st.User.(*session)
	if !ok {
		s = &session{ctx: h.ctx, c: h.c, nc: st, w: st}
		s.hooks()
		s.gone = s.clientGone
		st.User = s
	}
	s.m = m
	return true
}

// Serve implements http2.Handler.
func (h *streams) Serve(st *http2.Stream) {
	s := st.User.(*session)
	defer func() {
		if p := recover(); p != nil { // a fault in us ends the request, not the process
			s.m.o.Log.Error("serving a request failed", "listener", s.m.o.Listener, "panic", p, "stack", string(debug.Stack()))
			st.OnReset(nil)
			st.User = nil
			s.x.End()
			s.abandon()
		}
	}()
	s.lost.Store(false)
	s.start()
	s.countBegun()
	st.ReadRequest(&s.x.Request)
	s.keep, s.expect = false, st.Expect
	if s.x.Request.Upgrade != "" {
		s.asked = s.x.Request.Clone()
	}
	st.OnReset(s.gone)
	s.bound()
	s.x.OriginalPath = s.x.Request.Path
	s.judge()
	st.OnReset(nil)
	s.finish()
	s.rest()
}

// passReset tells the client why the upstream has reset the answer, if both speak
// HTTP/2: a gRPC client knows by the code who has cancelled.
func (s *session) passReset(err error) {
	var reset *http2.ResetError
	if !errors.As(err, &reset) {
		return
	}
	s.x.Flags, s.x.Details = "UR", "upstream_reset_after_response_started{remote_reset}"
	if st, ok := s.nc.(*http2.Stream); ok {
		st.Reset(reset.Code)
	}
}

// way is what a client that goes away interrupts: the connection or stream to the
// upstream. A client of HTTP/1.1 is seen to go while somebody looks: see attend.
type way struct {
	lost atomic.Bool // the client is gone
	gone func()      // clientGone; nil on HTTP/1.1
	mu   sync.Mutex
	conn *upstream.Conn
	wake func() // what a filter waits for ends: see watchClient
}

// clientGone ends the wait for the upstream.
func (s *session) clientGone() {
	s.lost.Store(true)
	s.way.mu.Lock()
	defer s.way.mu.Unlock()
	if s.way.conn != nil {
		s.way.conn.SetDeadline(past)
	}
	if s.way.wake != nil {
		s.way.wake()
	}
}

// lead says which connection the client's end interrupts.
func (s *session) lead(conn *upstream.Conn) {
	s.way.mu.Lock()
	s.way.conn = conn
	s.way.mu.Unlock()
}

// abandon ends what a fault in us has left of a request.
func (s *session) abandon() {
	s.uncount()
	conn := s.way.conn
	if conn == nil {
		return
	}
	if s.pump != nil {
		s.pump.stop(s, conn)
	}
	s.put(conn, false)
}

// put gives a connection back, whose deadlines nobody moves from here on.
func (s *session) put(conn *upstream.Conn, reuse bool) {
	s.lead(nil)
	conn.Put(reuse)
}
