package hcm

import (
	"log/slog"
	"net"
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
	var first []byte
	if s.r != nil {
		first = s.r.Take()
	}
	s.x.BytesReceived, s.x.BytesSent = tunnel.Run(s.nc, up, first, idle)
	stop()
	if revoked != "" {
		s.x.Details = revoked
		s.m.o.Log.Debug("connection ended", slog.String("listener", s.m.o.Listener), slog.String("reason", revoked))
	}
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
	j.x.Conn = s.x.Conn
	j.start()
	j.x.Again = true
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
