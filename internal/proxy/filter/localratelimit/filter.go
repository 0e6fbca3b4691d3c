// Package localratelimit is the filter that bounds how many requests pass in a time,
// configured by Envoy's LocalRateLimit message and with Envoy's answers. One bucket
// serves all connections of the listener, or of the route that has its own.
package localratelimit

import (
	"strconv"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration, of filters and routes.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

// Factory makes the filters, which count in the set.
func Factory(set *counters.Set) filter.Factory {
	read := func(a *anypb.Any) (*limit, error) {
		var m limitv3.LocalRateLimit
		if err := strict.Unpack(a, &m); err != nil {
			return nil, err
		}
		return compile(&m, set, time.Now)
	}
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			l, err := read(c.Typed)
			return &Filter{c.Name, l}, err
		},
		PerRoute: func(a *anypb.Any) (any, error) {
			l, err := read(a)
			if err == nil && l.bucket == nil && !l.none {
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
	if l.bucket != nil && l.headers {
		x.Keep(f, l)
	}
	if !l.none && (l.bucket == nil || l.bucket.take()) {
		l.counts.ok.Add(1)
		return true
	}
	l.counts.limited.Add(1)
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
	return false
}

// grpcResourceExhausted is RESOURCE_EXHAUSTED.
const grpcResourceExhausted = 8

// Encode tells the client how much is left, if it was under a limit that says so.
func (f *Filter) Encode(x *exchange.Exchange) {
	l, ok := x.Kept(f).(*limit)
	if !ok {
		return
	}
	left, reset := l.bucket.state()
	h := &x.Response.Header
	h.Add("x-ratelimit-limit", strconv.FormatUint(uint64(l.bucket.most), 10))
	h.Add("x-ratelimit-remaining", strconv.FormatUint(left, 10))
	h.Add("x-ratelimit-reset", strconv.FormatUint(reset, 10))
}
