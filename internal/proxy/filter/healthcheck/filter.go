// Package healthcheck is the filter that answers health checks of the proxy, or marks
// those that it passes on, configured by Envoy's HealthCheck message. The proxy is well
// as long as it takes requests (while it drains, it takes none) and nobody has said that it
// is to be seen as failed.
package healthcheck

import (
	"sync/atomic"
	"time"

	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck"

// Factory makes the filters of a proxy whose node belongs to the cluster. Unwell tells
// whether the proxy is to be seen as failed: what it answers or passes on says so then.
func Factory(cluster string, unwell func() bool) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			var m healthv3.HealthCheck
			if err := strict.Unpack(c.Typed, &m); err != nil {
				return nil, err
			}
			if err := strict.Only(&m, "pass_through_mode", "cache_time", "headers"); err != nil {
				return nil, err
			}
			if m.GetPassThroughMode() == nil {
				return nil, strict.Errorf("pass_through_mode", "missing")
			}
			f := &Filter{cluster: cluster, unwell: unwell, pass: m.GetPassThroughMode().GetValue(), now: time.Now, start: time.Now()}
			if t := m.GetCacheTime(); t != nil {
				if f.keep = t.AsDuration().Truncate(time.Millisecond); t.CheckValid() != nil || f.keep < 0 {
					return nil, strict.Errorf("cache_time", "must not be below 0")
				}
				if !f.pass && f.keep > 0 {
					return nil, strict.Errorf("cache_time", "without pass_through_mode")
				}
			}
			for i, h := range m.GetHeaders() {
				c, err := match.CompileHeader(h)
				if err != nil {
					return nil, strict.AtIndex("headers", i, err)
				}
				f.headers = append(f.headers, c)
			}
			return f, nil
		},
	}
}

// Filter is one compiled configuration.
type Filter struct {
	cluster string
	unwell  func() bool
	pass    bool
	headers []*match.Header // all must match; none: every request is a health check

	keep  time.Duration // how long an answer is given to others; 0: not at all
	now   func() time.Time
	start time.Time
	last  atomic.Pointer[answer]
}

// answer is what the server behind said last. It is good until its turn of the time for
// which answers are kept ends.
type answer struct {
	turn     time.Duration
	status   int
	degraded bool
}

// turn numbers the times since the start.
func (f *Filter) turn() time.Duration { return f.now().Sub(f.start) / f.keep }

var _ filter.Encoder = (*Filter)(nil)

// Decode answers a health check, or passes it on.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	for _, h := range f.headers {
		if !h.Match(x) {
			return true
		}
	}
	x.HealthCheck = true
	x.Keep(f, true)
	a := f.kept()
	if f.pass && (a == nil || x.Again) {
		return true
	}
	if f.unwell() {
		x.Flags = "LH"
		x.ReplyGRPC(503, grpcUnavailable, "", "health_check_failed")
		return false
	}
	if a != nil {
		a.reply(x)
		return false
	}
	x.ReplyGRPC(200, grpcUnknown, "", "health_check_ok")
	return false
}

// kept gives the last answer while it is good, nil for none.
func (f *Filter) kept() *answer {
	if f.keep == 0 {
		return nil
	}
	if a := f.last.Load(); a != nil && a.turn == f.turn() {
		return a
	}
	return nil
}

// reply gives the answer once more.
func (a *answer) reply(x *exchange.Exchange) {
	if a.status == 200 {
		x.ReplyGRPC(200, grpcUnknown, "", "health_check_cached")
	} else {
		x.Reply(a.status, "", "health_check_cached")
	}
	if a.degraded {
		x.Response.Header.Add("x-envoy-degraded", "")
	}
	if a.status < 200 || a.status > 299 {
		x.Flags = "LH"
	}
}

// Statuses of gRPC that Envoy makes of 200 and of 503.
const (
	grpcUnknown     = 2
	grpcUnavailable = 14
)

// Encode says whose health it is, and in every answer, that no further requests are wanted.
func (f *Filter) Encode(x *exchange.Exchange) {
	if f.unwell() {
		x.Response.Header.Set("x-envoy-immediate-health-check-fail", "true")
	}
	if x.Kept(f) != nil {
		if f.keep > 0 {
			_, degraded := x.Response.Header.Lookup("x-envoy-degraded")
			f.last.Store(&answer{f.turn(), x.Response.Status, degraded})
		}
		x.Response.Header.Set("x-envoy-upstream-healthchecked-cluster", f.cluster)
	}
}
