// Package ratelimit is the filter that asks a rate limit server whether a request may
// pass, configured by Envoy's RateLimit message and with Envoy's answers. Without an
// answer requests pass, unless failure_mode_deny says otherwise: limits are no policy.
package ratelimit

import (
	"context"
	"log/slog"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit"

// Options are what filters need besides their configuration.
type Options struct {
	// Clusters gives the cluster of a name as it is in force now, nil for none.
	Clusters func(name string) *upstream.Cluster
	Counters *counters.Set
	Node     descriptor.Node
	Log      *slog.Logger
}

// Factory makes the filters.
func Factory(o Options) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			var m limitv3.RateLimit
			if err := strict.Unpack(c.Typed, &m); err != nil {
				return nil, err
			}
			conf, err := compile(&m)
			if err != nil {
				return nil, err
			}
			return &Filter{conf, c.Name, &o}, nil
		},
		PerRoute: compilePerRoute,
	}
}

// Filter is one compiled configuration.
type Filter struct {
	*config
	name string
	o    *Options
}

var _ filter.Encoder = (*Filter)(nil)

var none = &settings{}

// limited is what the filter asks a route.
type limited interface {
	filter.Route
	descriptor.Route
	Limits() *route.Limits
}

// Decode asks the server, if the request is counted by anything.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	if x.Again || !f.enabled.Hit() || f.external && x.Request.Header.Get("x-envoy-internal") == "true" {
		return true
	}
	r, ok := x.Route.(limited)
	if !ok || r.Limits() == nil {
		return true // nothing is forwarded
	}
	cluster := f.o.Clusters(r.Cluster(x))
	if cluster == nil {
		return true // nor here; and counters are those of clusters that there are
	}
	s, ok := r.FilterConfig(f.name).(*settings)
	if !ok {
		s = none
	}
	lists := f.lists(s, r)
	if f.any(lists, true) {
		x.AtEnd(func() { f.spend(f.question(x, s, lists, true)) })
	}
	q := f.question(x, s, lists, false)
	if q == nil {
		return true
	}
	ctx, cancel := x.Context(f.service.Timeout)
	defer cancel()
	rs, err := f.ask(ctx, q)
	if err != nil && exchange.Gone(ctx) {
		return false
	}
	a := &answer{}
	if err == nil {
		a, err = f.read(rs)
	}
	count := func(name string) {
		f.o.Counters.Of(counters.Name{Scope: counters.Cluster, Of: cluster.Stat(), Name: f.prefix + name}).Add(1)
	}
	if err != nil {
		f.o.Log.Debug("the rate limit server did not answer", "cluster", f.service.Cluster, "reason", status.Code(err).String())
		count("error")
		if f.deny.Hit() {
			x.Reply(f.onError, "", "rate_limiter_error")
			x.Flags = "RLSE"
			return false
		}
		count("failure_mode_allowed")
		return true
	}
	a.metadata.Write(x, f.namespace)
	if a.over {
		count("over_limit")
		if f.enforced.Hit() {
			f.refuse(x, a)
			return false
		}
	} else {
		count("ok")
	}
	for _, h := range a.request {
		x.Request.Header.Add(h.Name, h.Value)
	}
	if len(a.response) > 0 {
		x.Keep(f, a.response)
	}
	return true
}

// lists gives what the request is counted by.
func (f *Filter) lists(s *settings, r limited) (lists [2][]*descriptor.Policy) {
	switch {
	case s.policies != nil:
		lists[0] = s.policies
	case f.policies != nil:
		lists[0] = f.policies
	default:
		return r.Limits().Policies(s.host)
	}
	return lists
}

// any tells whether anything counts now, or at the end.
func (f *Filter) any(lists [2][]*descriptor.Policy, end bool) bool {
	for _, l := range lists {
		for _, p := range l {
			if p.AtEnd == end && p.Counts(f.stage) {
				return true
			}
		}
	}
	return false
}

// question makes what the server is asked, nil if the request has no descriptor.
func (f *Filter) question(x *exchange.Exchange, s *settings, lists [2][]*descriptor.Policy, end bool) *rlsv3.RateLimitRequest {
	var q *rlsv3.RateLimitRequest
	for _, l := range lists {
		for _, p := range l {
			if p.AtEnd != end || !p.Counts(f.stage) {
				continue
			}
			d, ok := p.Of(x, f.o.Node)
			if !ok {
				continue
			}
			if q == nil {
				q = &rlsv3.RateLimitRequest{Domain: f.domain}
				if s.domain != "" {
					q.Domain = s.domain
				}
			}
			q.Descriptors = append(q.Descriptors, d.Proto())
		}
	}
	return q
}

func (f *Filter) ask(ctx context.Context, q *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	rs := &rlsv3.RateLimitResponse{}
	return rs, f.service.Invoke(ctx, f.o.Clusters(f.service.Cluster), q, rs)
}

// spend tells the server of a request that is over, and waits for no answer. How many of
// these are under way is bounded by the cluster's circuit breakers.
func (f *Filter) spend(q *rlsv3.RateLimitRequest) {
	if q != nil {
		go f.ask(context.Background(), q)
	}
}

func (f *Filter) refuse(x *exchange.Exchange, a *answer) {
	if f.exhausted {
		x.ReplyGRPC(f.status, grpcResourceExhausted, a.body, "request_rate_limited")
	} else {
		x.Reply(f.status, a.body, "request_rate_limited")
	}
	x.Flags = "RL"
	h := &x.Response.Header
	for _, e := range a.response {
		if e.Name == "content-type" {
			h.Set(e.Name, e.Value)
			continue
		}
		h.Add(e.Name, e.Value)
	}
	f.response.Response(x)
	if f.retryAfter && f.status == 429 && a.retryAfter > 0 {
		if _, there := h.Lookup("retry-after"); !there {
			h.Add("retry-after", a.retryText())
		}
	}
}

// grpcResourceExhausted is RESOURCE_EXHAUSTED.
const grpcResourceExhausted = 8

// Encode adds what the server's answer wants on the response.
func (f *Filter) Encode(x *exchange.Exchange) {
	l, _ := x.Kept(f).([]exchange.Field)
	for _, e := range l {
		x.Response.Header.Add(e.Name, e.Value)
	}
}
