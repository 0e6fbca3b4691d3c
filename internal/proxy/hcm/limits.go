package hcm

import (
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// limits of one request's way through an upstream.
type limits struct {
	total        time.Time     // of the whole answer; zero: none
	timeout      *broken       // what total means
	answer       time.Duration // of which total is made, as far as it is a timeout; 0: none
	idle         time.Duration
	priority     upstream.Priority // whose circuit breakers and connections are the request's
	try, tryIdle time.Duration     // of each try, up to the answer's head, and between its bytes; 0: none
}

// idle is how long nothing may happen; 0: any time.
func (s *session) idle(f *route.Forward) time.Duration {
	if f.Idle >= 0 {
		return f.Idle
	}
	return s.m.streamIdle
}

// limit sets the limits of the request, and tells the upstream of them.
func (s *session) limit(f *route.Forward) {
	l := limits{timeout: errTimeout, idle: s.idle(f), priority: f.Priority}
	now := s.clock()
	answer, stream := s.timeouts(f)
	if f.Retry != nil {
		l.try, l.tryIdle = f.Retry.PerTry, f.Retry.TryIdle
	}
	l.answer, l.try = s.askedTimes(answer, l.try)
	if l.answer > 0 && l.try >= l.answer {
		l.try = 0
	}
	if l.answer > 0 && s.x.Request.Upgrade == "" {
		l.total = now.Add(l.answer)
	}
	for _, d := range [2]time.Duration{stream, s.m.maxStream} {
		if d > 0 && (l.total.IsZero() || now.Add(d).Before(l.total)) {
			l.total, l.timeout = now.Add(d), errMaxStream
		}
	}
	s.limits = l
	s.tellLimits(f, 0)
}

// tellLimits tells the upstream how long it has for its answer.
func (s *session) tellLimits(f *route.Forward, elapsed time.Duration) {
	l := &s.limits
	d := l.try
	if d == 0 {
		d = l.answer
	}
	if d <= 0 {
		return
	}
	if l.answer > 0 {
		d = max(min(d, l.answer-elapsed), time.Millisecond) // 0 would be any time
	}
	h := &s.x.Request.Header
	switch {
	case s.m.suppressHeaders:
	case d == 15*time.Second:
		h.Set(expectedTime, "15000")
	default:
		h.Set(expectedTime, strconv.FormatInt(d.Milliseconds(), 10))
	}
	if f.GRPCTimeout >= 0 && match.GRPC(s.x) {
		h.Set("grpc-timeout", inGRPC(d))
	}
}

// whole gives the deadline of a wait that begins now and is no try's, and what its passing
// means.
func (l *limits) whole(now time.Time) (time.Time, *broken) {
	d, what := l.total, l.timeout
	if l.idle > 0 {
		if i := now.Add(l.idle); d.IsZero() || i.Before(d) {
			d, what = i, errStreamIdle
		}
	}
	return d, what
}

// next gives the deadline of a read that begins now, and what its passing means.
func (l *limits) next(now, try time.Time) (time.Time, *broken) {
	d, what := l.whole(now)
	if !try.IsZero() && (d.IsZero() || try.Before(d)) {
		d, what = try, errPerTry
	}
	if l.tryIdle > 0 {
		if i := now.Add(l.tryIdle); d.IsZero() || i.Before(d) {
			d, what = i, errPerTryIdle
		}
	}
	return d, what
}

// early tells whether a deadline has passed too early, since the request was still being
// sent. Idle is who does not send either; a try's times run from the request's end.
func (s *session) early(what *broken, try *time.Time) bool {
	switch what {
	case errStreamIdle:
		return s.pump.moved.Swap(false)
	case errPerTry:
		*try = s.pump.end().Add(s.limits.try)
		return time.Now().Before(*try)
	case errPerTryIdle:
		return time.Since(s.pump.end()) < s.limits.tryIdle
	}
	return false
}

// step is how seldom deadlines are moved while content comes.
func (l *limits) step() time.Duration {
	step := time.Second / 4
	for _, d := range [2]time.Duration{l.idle, l.tryIdle} {
		if d > 0 {
			step = min(step, d/8)
		}
	}
	return step
}

// Fields by which a request says itself how long its upstream has, in milliseconds.
const (
	expectedTime = "x-envoy-expected-rq-timeout-ms"
	askedTime    = "x-envoy-upstream-rq-timeout-ms"
	askedTryTime = "x-envoy-upstream-rq-per-try-timeout-ms"
	askedEmpty   = "x-envoy-upstream-rq-timeout-alt-response"
	// Further ones that end here, and say nothing: a client could make any number of
	// counters, and no request is sent twice at a time.
	altStatName = "x-envoy-upstream-alt-stat-name"
	askedHedge  = "x-envoy-hedge-on-per-try-timeout"
)

// askedTimes gives the times that a request asks for itself, in place of the route's. Who
// may not ask has had the fields removed when the request came.
func (s *session) askedTimes(answer, try time.Duration) (time.Duration, time.Duration) {
	h := &s.x.Request.Header
	s.emptyTimeout = false
	asks, known := false, false // known: the proxy before this one has said it all
	for _, f := range h.Fields() {
		switch f.Name {
		case askedTime, askedTryTime, askedEmpty, altStatName, askedHedge:
			asks = true
		case expectedTime:
			known = s.m.respectExpected
		}
	}
	if known {
		answer = milliseconds(h.Get(expectedTime), answer)
	}
	if !asks {
		return answer, try
	}
	if !known {
		answer = milliseconds(h.Get(askedTime), answer)
	}
	try = milliseconds(h.Get(askedTryTime), try)
	_, s.emptyTimeout = h.Lookup(askedEmpty)
	h.DelFunc(func(f exchange.Field) bool {
		switch f.Name {
		case askedTime:
			return !known
		case askedTryTime, askedEmpty, altStatName, askedHedge:
			return true
		}
		return false
	})
	return answer, try
}

// milliseconds reads a time, otherwise if the text is none.
func milliseconds(text string, otherwise time.Duration) time.Duration {
	n, ok := route.Number(text)
	if !ok {
		return otherwise
	}
	return time.Duration(min(n, 1<<32)) * time.Millisecond // seven weeks are for ever
}
