package hcm

import (
	"context"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// awaitConnection waits for a connection of a host that may have no more. It ends with the request's
// time, and when the client is gone, who is not to keep others from waiting.
func (s *session) awaitConnection(host *upstream.Host) (*upstream.Conn, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := s.watchClient(cancel)
	l := &s.limits
	conn, err := host.Await(ctx, l.total, s.x.Request.ProtoMajor, s.x.Conn)
	stop()
	switch {
	case err == nil:
	case s.lost.Load():
		err = errClient
	case err == context.DeadlineExceeded, !l.total.IsZero() && !s.clock().Before(l.total): // or it has ended the making of one
		if l.timeout == errTimeout {
			s.to.Counts.RqTimeout.Inc()
		}
		err = l.timeout
	}
	return conn, err
}
