package hcm

import (
	"context"
	"errors"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// awaitConnection waits for a connection of a host that may have no more. It ends with the request's
// time, and when the client is gone, who is not to keep others from waiting.
func (s *session) awaitConnection(host *upstream.Host) (*upstream.Conn, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := s.watchClient(cancel)
	conn, err := host.Await(ctx, s.limits.total, s.x.Request.ProtoMajor, s.x.Conn)
	stop()
	if err != nil && s.lost.Load() {
		err = errClient
	}
	return conn, err
}

// late tells whether there is no connection because the request's time was over, and not that
// of connecting, and counts that.
func (s *session) late(err error) bool {
	l := &s.limits
	var c *upstream.ConnectError
	if l.total.IsZero() || time.Now().Before(l.total) || err != context.DeadlineExceeded && !(errors.As(err, &c) && c.Timeout) {
		return false
	}
	if l.timeout == errTimeout {
		s.to.Counts.RqTimeout.Inc()
	}
	return true
}
