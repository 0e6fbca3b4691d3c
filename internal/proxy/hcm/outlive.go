package hcm

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/tunnel"
)

// outlive carries bytes between the client and up after the request, as long as
// that request would be let in. Both are reset once it would not.
func (s *session) outlive(up net.Conn, idle time.Duration) {
	s.taken = true
	s.nc.SetDeadline(noDeadline)
	revoked := ""
	stop := s.c.Last(func() (until time.Time, ok bool) {
		var why string
		if until, why, ok = s.again(); !ok {
			revoked = Revoked(why)
		}
		return until, ok
	}, s.x.Until, func() { tunnel.Reset(s.nc); tunnel.Reset(up) })
	// A side whose end has come is not read any more, and would not tell that it was closed.
	closed := make(chan struct{})
	unclosed := context.AfterFunc(s.ctx, func() {
		defer close(closed)
		s.nc.Close()
		up.Close()
	})
	var first []byte
	if s.r != nil {
		first = s.r.Take()
	}
	a, b := s.nc, up
	var left atomic.Pointer[string]
	if s.x.Request.Upgrade != "" && s.x.Request.ProtoMajor == 1 {
		a, b = side{a, "DC", &left}, side{b, "UC", &left}
	}
	s.x.BytesReceived, s.x.BytesSent = tunnel.Run(a, b, first, idle)
	if !unclosed() {
		<-closed // up may be a stream, and be another's from here on
	}
	stop()
	if flag := left.Load(); flag != nil {
		s.x.Flags, s.x.Details = *flag, leftDetails[*flag]
	}
	if revoked != "" {
		s.x.Details = revoked
		s.m.o.Log.Debug("connection ended", slog.String("listener", s.m.o.Listener), slog.String("reason", revoked))
	}
}

// side is one of the two of an upgrade over HTTP/1.1, which has no half-close to pass on: the
// end of one side is that of both. A tunnel and a stream of HTTP/2 have one.
type side struct {
	net.Conn
	flag string
	left *atomic.Pointer[string] // the flag of the side that ended first
}

func (s side) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if ne, ok := err.(net.Error); err == io.EOF || err != nil && !errors.Is(err, net.ErrClosed) && !(ok && ne.Timeout()) {
		s.left.CompareAndSwap(nil, &s.flag)
	}
	return n, err
}

var leftDetails = map[string]string{
	"DC": "downstream_remote_disconnect",
	"UC": "upstream_reset_after_response_started{connection_termination}",
}

// again judges the connection's last request as if it came now: the peer by the
// chain in force, the request by the filters and routes in force. Where a route
// leads is not asked: that changes, and is no refusal.
func (s *session) again() (until time.Time, why string, ok bool) {
	m := s.c.Current()
	if m == nil {
		return until, "", false
	}
	j := &session{ctx: s.ctx, c: s.c, r: s.r, m: m, tunnel: s.tunnel}
	j.start()
	j.x.Conn, j.x.Again = s.x.Conn, true
	defer j.x.End()
	j.x.Request = *s.asked.Clone()
	if !j.admit() {
		return until, j.x.Details, false
	}
	r, _ := j.x.Route.(*route.Route)
	if r == nil || r.Forward == nil {
		return until, "route_not_found", false
	}
	if !j.upgradeAllowed(r) || j.x.Request.Upgrade == "" && !m.o.HTTPProxy {
		return until, "upgrade_failed", false
	}
	return j.x.Until, "", true
}

// Revoked is the response code detail of a connection that is not allowed any more;
// why is that of the refusal.
func Revoked(why string) string {
	if why == "" {
		return "revoked"
	}
	return "revoked{" + why + "}"
}
