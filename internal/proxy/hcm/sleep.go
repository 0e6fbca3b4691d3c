package hcm

import (
	"context"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/route"
)

// sleep holds the request up for a filter, as long as a stream may be idle. It returns
// false if that is over before (it has answered then), or the client is gone.
func (s *session) sleep(d time.Duration) bool {
	idle := s.m.streamIdle
	if r, _ := s.x.Route.(*route.Route); r != nil && r.Forward != nil {
		idle = s.idle(r.Forward)
	}
	late := idle > 0 && idle < d
	if late {
		d = idle
	}
	t := time.NewTimer(d)
	defer t.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	stop := s.watchClient(cancel)
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	stop()
	cancel()
	switch {
	case s.lost.Load():
		return false
	case !late:
		return true
	case s.consumed():
		s.fail(nil, errStreamIdle)
	default:
		s.fail(nil, errRequestIdle)
	}
	return false
}
