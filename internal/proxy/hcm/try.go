package hcm

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
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
	x, f := s.x, r.Forward
	fresh, again, sent := false, 0, false
	retry := f.Retry.For(x)
	ask := upstream.Ask{Authority: x.Request.Authority, Port: s.port(), Hash: x.Hash, Criteria: choice.Criteria, For: x, Header: &x.Request.Header}
	if retry != nil && retry.Elsewhere > 0 {
		ask.Elsewhere = upstream.NewElsewhere(retry.Elsewhere)
	}
	retrying := false
	defer func() {
		if retrying {
			cluster.EndRetry(f.Priority)
		}
	}()
	for {
		s.x.Attempts++
		if f.Attempts {
			x.Request.Header.Set(attemptCount, strconv.Itoa(s.x.Attempts))
		}
		if s.x.Attempts > 1 {
			s.tellLimits(f, time.Since(x.Start))
		}
		host, err := cluster.Pick(s.ctx, ask)
		if err != nil {
			return nil, err
		}
		x.UpstreamHost, x.Endpoint = host.Text, host
		x.UpstreamLocal, x.Upstream, x.UpstreamMajor = netip.AddrPort{}, nil, 0 // what is of an earlier try
		x.Sent, x.Answered = time.Time{}, time.Time{}
		if f.AutoHost && host.Name != "" {
			x.Request.Authority = host.Name
		}
		var try *tracing.Span
		if s.span != nil {
			try = s.span.Try(x)
		}
		conn, err := s.once(host, fresh)
		replay := s.replayable()
		if err == nil {
			if retry == nil || !replay || !retry.Answer(&x.Response) || !s.mayRetry(cluster, &retrying, retry) {
				cluster.Counts.Answered(x.Response.Status, s.x.Attempts)
				try.EndTry(x, false, tracing.Reset{})
				return conn, nil
			}
			cluster.Counts.Retried.Inc(x.Response.Status)
			try.EndTry(x, true, tracing.Reset{})
			wait := retry.After(&x.Response.Header, time.Now())
			s.put(conn, false)
			s.forget()
			avoid(&ask, retry, host)
			if err := s.pause(cluster, retry, wait); err != nil {
				return nil, err
			}
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
		sent = sent || reached(err)
		if retry == nil || !replay || !retriable(retry, err, sent) || !s.mayRetry(cluster, &retrying, retry) {
			return nil, err
		}
		s.forget()
		avoid(&ask, retry, host)
		if err := s.pause(cluster, retry, 0); err != nil {
			return nil, err
		}
	}
}

// mayRetry tells whether a request that is to be sent again may be: often enough it was,
// or there are too many that are. Retrying notes that it is counted.
func (s *session) mayRetry(cluster *upstream.Cluster, retrying *bool, p *route.Retry) bool {
	switch {
	case s.x.Attempts > p.Times:
		cluster.Counts.RqRetryLimit.Inc()
		s.x.Unretried = "URX"
		return false
	case !*retrying && !cluster.BeginRetry(s.limits.priority):
		s.x.Unretried = "UO"
		return false
	}
	*retrying = true
	return true
}

// avoid has the next try choose another endpoint, or one of another priority, if the policy
// wants that.
func avoid(ask *upstream.Ask, p *route.Retry, host *upstream.Host) {
	if p.Choices > 0 {
		ask.Avoid, ask.Choices = append(ask.Avoid, host), p.Choices
	}
	if ask.Elsewhere != nil {
		ask.Elsewhere.Tried()
	}
}

// maxAgain bounds how often a request is sent again that no upstream has processed.
const maxAgain = 3

// attemptCount is the field that tells how often the upstream was asked.
const attemptCount = "x-envoy-attempt-count"

// errStale is a connection from the pool that was dead.
var errStale = errors.New("stale connection")

// reached tells whether a try without an answer has got a connection.
func reached(err error) bool {
	var b *broken
	return errors.As(err, &b)
}

func retriable(p *route.Retry, err error, sent bool) bool {
	var c *upstream.ConnectError
	switch {
	case errors.As(err, &c):
		return p.Connect(sent)
	case err == errPerTry, err == errPerTryIdle, err == errTerminated, err == errProtocol, err == errReset:
		return p.Reset()
	case err == errRefused:
		return p.Refused()
	}
	return false
}

// pause waits between tries: as long as the answer has asked for and up to half of it
// more, else by chance and longer each time. An error is what ends the request meanwhile,
// which then counts for no retry.
func (s *session) pause(cluster *upstream.Cluster, p *route.Retry, asked time.Duration) error {
	d := asked
	waits := &cluster.Counts.RqBackoffAsked
	if asked > 0 {
		d += rand.N(asked / 2)
	} else {
		waits = &cluster.Counts.RqBackoff
		d = rand.N(min(p.Base<<min(s.x.Attempts, 10), p.Max))
	}
	end, what := s.limits.next(time.Now(), time.Time{})
	late := !end.IsZero() && time.Now().Add(d).After(end)
	if late {
		d = time.Until(end)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := s.watchClient(cancel)
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	stop()
	switch {
	case s.lost.Load() || s.ctx.Err() != nil:
		return errClient
	case late:
		return what
	}
	waits.Inc()
	cluster.Counts.RqRetry.Inc()
	return nil
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
