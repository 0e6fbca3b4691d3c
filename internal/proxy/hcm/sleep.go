package hcm

import (
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
	wake := make(chan struct{})
	s.way.mu.Lock()
	s.way.wake = wake
	s.way.mu.Unlock()
	if !s.lost.Load() {
		select {
		case <-t.C:
		case <-wake:
		}
	}
	s.way.mu.Lock()
	s.way.wake = nil
	s.way.mu.Unlock()
	switch {
	case s.lost.Load():
		s.keep = false
		s.x.Flags, s.x.Details = "DC", "downstream_remote_disconnect"
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
