package hcm

import (
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/tracing"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// try asks hosts of the cluster until one has answered with a head, as often as
// the route's retry policy says. A connection from the pool that turns out to be
// dead before any byte came back does not count, if the request may be repeated.
func (s *session) try(r *route.Route, choice route.Choice, cluster *upstream.Cluster) (*upstream.Conn, error) {
	x, f := &s.x, r.Forward
	l := s.limits(f)
	fresh, again := false, 0
	retry := f.Retry.For(x)
	ask := upstream.Ask{Authority: x.Request.Authority, Port: s.port(), Hash: x.Hash, Criteria: choice.Criteria}
	retrying := false
	defer func() {
		if retrying {
			cluster.EndRetry()
		}
	}()
	for {
		s.x.Attempts++
		if f.Attempts {
			x.Request.Header.Set("x-envoy-attempt-count", strconv.Itoa(s.x.Attempts))
		}
		host, err := cluster.Pick(s.ctx, ask)
		if err != nil {
			return nil, err
		}
		x.UpstreamHost = host.Text
		if f.AutoHost && host.Name != "" {
			x.Request.Authority = host.Name
		}
		var try *tracing.Span
		if s.span != nil {
			try = s.span.Try(x)
		}
		conn, err := s.once(f, host, &l, fresh)
		replay := s.replayable()
		if err == nil {
			if retry == nil || !replay || s.x.Attempts > retry.Times || !retry.Answer(&x.Response) || !s.mayRetry(cluster, &retrying, retry, &l) {
				cluster.Counts.Answered(x.Response.Status, s.x.Attempts)
				try.EndTry(x, false, tracing.Reset{})
				return conn, nil
			}
			cluster.Counts.Retried.Inc(x.Response.Status)
			try.EndTry(x, true, tracing.Reset{})
			s.put(conn, false)
			s.forget()
			avoid(&ask, retry, host)
			continue
		}
		if err == errStale { // whose span is that of the next
			s.x.Attempts--
			fresh = true
			continue
		}
		if err == errRefused && replay && again < maxAgain {
			again++
			s.x.Attempts--
			continue
		}
		try.EndTry(x, false, why(err))
		if retry == nil || !replay || s.x.Attempts > retry.Times || !retriable(retry, err) || !s.mayRetry(cluster, &retrying, retry, &l) {
			return nil, err
		}
		s.forget()
		avoid(&ask, retry, host)
	}
}

// mayRetry waits until the request may be sent again; false if it may not, since there
// are too many that are, or no time is left. Retrying notes that it is counted.
func (s *session) mayRetry(cluster *upstream.Cluster, retrying *bool, p *route.Retry, l *limits) bool {
	if !*retrying && !cluster.BeginRetry() {
		return false
	}
	*retrying = true
	cluster.Counts.RqRetry.Inc()
	if p.Base > 0 {
		cluster.Counts.RqBackoff.Inc()
	}
	return s.pause(p, l)
}

// avoid has the next try choose another endpoint, if the policy wants that.
func avoid(ask *upstream.Ask, p *route.Retry, host *upstream.Host) {
	if p.Choices > 0 {
		ask.Avoid, ask.Choices = append(ask.Avoid, host), p.Choices
	}
}

// maxAgain bounds how often a request is sent again that no upstream has processed.
const maxAgain = 3

// errStale is a connection from the pool that was dead.
var errStale = errors.New("stale connection")

func retriable(p *route.Retry, err error) bool {
	var c *upstream.ConnectError
	switch {
	case errors.As(err, &c):
		return p.Connect()
	case err == errPerTry:
		return p.Status(504)
	case err == errTerminated, err == errProtocol, err == errReset:
		return p.Reset()
	case err == errRefused:
		return p.Refused()
	}
	return false
}

// pause waits between tries; false if there is no time left.
func (s *session) pause(p *route.Retry, l *limits) bool {
	most := min(p.Base<<min(s.x.Attempts, 10), p.Max)
	if most <= 0 {
		return true
	}
	d := rand.N(most)
	if !l.total.IsZero() && time.Now().Add(d).After(l.total) {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// forget drops the answer of an earlier try.
func (s *session) forget() {
	s.x.Response.Header.Reset()
	s.x.Response.Trailer.Reset()
	s.x.Response.Body = nil
	s.x.Response.Status = 0
}

// replayable tells whether the request can be sent again: it has no content, or
// all of it is still at hand.
func (s *session) replayable() bool {
	b := s.x.Request.Body
	if b == nil {
		return true
	}
	if s.pump != nil {
		return false
	}
	_, whole := wholeBody(b)
	return whole
}

func wholeBody(body io.Reader) ([]byte, bool) {
	if b, ok := body.(content); ok {
		return b.Whole()
	}
	return nil, false
}

// idempotent methods may be repeated without asking (RFC 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}
