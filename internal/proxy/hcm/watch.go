package hcm

import (
	"github.com/usher-mesh/usher/internal/proxy/deadline"
	"github.com/usher-mesh/usher/internal/proxy/netconn"
)

// watchClient calls f once the client is gone, until stop returns. On HTTP/1.1 that is
// seen by its connection, which nobody reads while a filter waits; a client that has
// closed its side is gone, as in Envoy.
func (s *session) watchClient(f func()) (stop func()) {
	s.way.mu.Lock()
	defer s.way.mu.Unlock()
	if s.lost.Load() {
		f()
		return func() {}
	}
	s.way.wake = f
	unwatch := func() {}
	if c, ok := netconn.Find[*deadline.Conn](s.nc); s.gone == nil && ok {
		done := make(chan struct{})
		s.nc.SetReadDeadline(noDeadline) // that of the head, or of the content, is no bound of the wait
		go func() {
			defer close(done)
			if c.AwaitEnd() {
				s.clientGone()
			}
		}()
		unwatch = func() {
			s.nc.SetReadDeadline(past)
			<-done
			s.nc.SetReadDeadline(s.bodyDeadline(s.m.streamIdle))
		}
	}
	return func() {
		unwatch()
		s.way.mu.Lock()
		defer s.way.mu.Unlock()
		s.way.wake = nil
	}
}
