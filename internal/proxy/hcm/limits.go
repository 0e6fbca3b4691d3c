package hcm

import (
	"time"

	"github.com/usher-mesh/usher/internal/proxy/route"
)

// limits of one request's way through an upstream.
type limits struct {
	total   time.Time // of the whole answer; zero: none
	timeout *broken   // what total means
	idle    time.Duration
}

// idle is how long nothing may happen; 0: any time.
func (s *session) idle(f *route.Forward) time.Duration {
	if f.Idle >= 0 {
		return f.Idle
	}
	return s.m.streamIdle
}

func (s *session) limits(f *route.Forward) limits {
	l := limits{timeout: errTimeout, idle: s.idle(f)}
	now := time.Now()
	answer, stream := s.timeouts(f)
	if answer > 0 && s.x.Request.Upgrade == "" {
		l.total = now.Add(answer)
	}
	for _, d := range [2]time.Duration{stream, s.m.maxStream} {
		if d > 0 && (l.total.IsZero() || now.Add(d).Before(l.total)) {
			l.total, l.timeout = now.Add(d), errMaxStream
		}
	}
	return l
}

// next gives the deadline of the next read, and what its passing means.
func (l *limits) next(try time.Time) (time.Time, *broken) {
	d, what := l.total, l.timeout
	if !try.IsZero() && (d.IsZero() || try.Before(d)) {
		d, what = try, errPerTry
	}
	if l.idle > 0 {
		if i := time.Now().Add(l.idle); d.IsZero() || i.Before(d) {
			d, what = i, errStreamIdle
		}
	}
	return d, what
}
