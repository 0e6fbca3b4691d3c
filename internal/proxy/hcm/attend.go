package hcm

import (
	"time"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// notice is after how long a silence of the upstream somebody looks whether the client is
// still there. It takes a goroutine, which quick answers are spared.
const notice = 100 * time.Millisecond

// attend has the end of a client of HTTP/1.1, and of its connection here, interrupt the wait
// for an upstream, until stop is called. Nil: it is seen elsewhere, by HTTP/2 or by the pump
// that still reads what the client sends.
func (s *session) attend(conn *upstream.Conn) (stop func()) {
	if s.gone != nil || s.pumping() {
		return nil
	}
	s.lead(conn)
	unwatch := s.watchClient(func() {})
	return func() {
		unwatch()
		s.lead(nil)
	}
}

// pumping tells whether the request is still being sent.
func (s *session) pumping() bool { return s.pump != nil && !s.pump.over() }

// noticed gives the first deadline of a wait that begins now and may last until d.
func (s *session) noticed(now, d time.Time) time.Time {
	if look := now.Add(notice); s.gone == nil && (d.IsZero() || look.Before(d)) {
		return look
	}
	return d
}
