package hcm

import (
	"context"
	"errors"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// awaitConnection waits for a connection of a host that may have no more. It ends with the request's
// time, or its idle time, and when the client is gone, who is not to keep others from waiting.
func (s *session) awaitConnection(host *upstream.Host) (*upstream.Conn, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := s.watchClient(cancel)
	end, what := s.limits.whole(time.Now())
	conn, err := host.Await(ctx, end, s.from())
	stop()
	switch {
	case err == nil:
	case s.lost.Load():
		err = errClient
	case what == errStreamIdle && over(err, end):
		err = what
	}
	return conn, err
}

// late tells whether there is no connection because the request's time was over, and not that
// of connecting, and counts that.
func (s *session) late(err error) bool {
	l := &s.limits
	if !over(err, l.total) {
		return false
	}
	if l.timeout == errTimeout {
		s.to.Counts.RqTimeout.Inc()
	}
	return true
}

// over tells whether the deadline has ended the wait for a connection; zero: there is none.
func over(err error, end time.Time) bool {
	var c *upstream.ConnectError
	return !end.IsZero() && !time.Now().Before(end) && (err == context.DeadlineExceeded || errors.As(err, &c) && c.Timeout)
}
