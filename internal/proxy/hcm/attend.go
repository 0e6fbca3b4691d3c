package hcm

import "time"

// notice is after how long a silence of the upstream somebody looks whether the client is
// still there. It takes a goroutine, which quick answers are spared.
const notice = 100 * time.Millisecond

// attend has the end of a client of HTTP/1.1, and of its connection here, interrupt the wait
// for an upstream, until stop is called. While the request is still being sent, its pump sees
// that, and attending begins with the pump's end. Nil: it is seen by HTTP/2.
func (s *session) attend() (stop func()) {
	switch {
	case s.gone != nil:
		return nil
	case s.pump == nil || s.pump.over():
		return s.watchClient(func() {})
	}
	left, begun := make(chan struct{}), make(chan func(), 1)
	go func() {
		select {
		case <-s.pump.done:
			begun <- s.watchClient(func() {})
		case <-left:
			begun <- func() {}
		}
	}()
	return func() {
		close(left)
		(<-begun)()
	}
}

// noticed gives the first deadline of a wait that begins now and may last until d.
func (s *session) noticed(now, d time.Time) time.Time {
	if look := now.Add(notice); s.gone == nil && (d.IsZero() || look.Before(d)) {
		return look
	}
	return d
}
