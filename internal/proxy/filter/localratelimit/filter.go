// Package localratelimit is the filter that bounds how many requests pass in a time,
// configured by Envoy's LocalRateLimit message and with Envoy's answers. One set of buckets
// serves all connections of the listener, or of the route that has its own; or each
// connection has one.
package localratelimit

import (
	"strconv"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration, of filters and routes.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

// Factory makes the filters, which count in the set.
func Factory(set *counters.Set, node descriptor.Node) filter.Factory {
	read := func(a *anypb.Any) (*limit, error) {
		var m limitv3.LocalRateLimit
		if err := strict.Unpack(a, &m); err != nil {
			return nil, err
		}
		return compile(&m, set, node, time.Now)
	}
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			l, err := read(c.Typed)
			return &Filter{c.Name, l}, err
		},
		PerRoute: func(a *anypb.Any) (any, error) {
			l, err := read(a)
			if err == nil && l.buckets.def == nil {
				err = strict.Errorf("token_bucket", "missing: a route's limit needs one")
			}
			return l, err
		},
	}
}

// Filter is one compiled configuration.
type Filter struct {
	name string
	own  *limit
}

var _ filter.Encoder = (*Filter)(nil)

// of gives the limit that the request is under.
func (f *Filter) of(x *exchange.Exchange) *limit {
	if r, ok := x.Route.(filter.Route); ok && r != nil {
		if l, ok := r.FilterConfig(f.name).(*limit); ok {
			return l
		}
	}
	return f.own
}

// Decode takes a token, or answers that there is none.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	l := f.of(x)
	if x.Again || !l.enabled.Hit() {
		return true
	}
	l.counts.enabled.Add(1)
	b := l.buckets
	if l.perConnection {
		b = x.Conn.Own(l, func() any { return l.buckets.copy() }).(*buckets)
	}
	var of []share
	if b.of != nil {
		of = l.shares(b, l.lists(x), x)
	}
	by, shown, ok := b.take(of)
	if by != nil && by.bucket != nil && l.headers {
		x.Keep(f, by.bucket)
	}
	if ok && !shown {
		l.counts.ok.Add(1)
		return true
	}
	l.counts.limited.Add(1)
	if ok {
		l.counts.shadow.Add(1)
		return true
	}
	if !l.enforced.Hit() {
		l.request.Request(x)
		return true
	}
	l.counts.enforced.Add(1)
	x.Flags = "RL"
	if l.exhausted {
		x.ReplyGRPC(l.status, grpcResourceExhausted, "local_rate_limited", "local_rate_limited")
	} else {
		x.Reply(l.status, "local_rate_limited", "local_rate_limited")
	}
	l.response.Response(x)
	if l.retryAfter && l.status == 429 && by.bucket != nil {
		if _, there := x.Response.Header.Lookup("retry-after"); !there {
			_, reset := by.state()
			x.Response.Header.Add("retry-after", strconv.FormatUint(max(reset, 1), 10))
		}
	}
	return false
}

// grpcResourceExhausted is RESOURCE_EXHAUSTED.
const grpcResourceExhausted = 8

// Encode tells the client how much is left, if it was under a limit that says so.
func (f *Filter) Encode(x *exchange.Exchange) {
	b, ok := x.Kept(f).(*bucket)
	if !ok {
		return
	}
	left, reset := b.state()
	h := &x.Response.Header
	h.Add("x-ratelimit-limit", strconv.FormatUint(uint64(b.most), 10))
	h.Add("x-ratelimit-remaining", strconv.FormatUint(left, 10))
	h.Add("x-ratelimit-reset", strconv.FormatUint(reset, 10))
}

// limited is what the filter asks a route.
type limited interface{ Limits() *route.Limits }

// lists gives what the request is counted by.
func (l *limit) lists(x *exchange.Exchange) (lists [2][]*descriptor.Policy) {
	if l.policies != nil {
		lists[0] = l.policies
		return lists
	}
	if r, ok := x.Route.(limited); ok && r.Limits() != nil {
		return r.Limits().Policies(l.host)
	}
	return lists
}
