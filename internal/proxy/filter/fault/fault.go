// Package fault is the filter that makes requests slow or fail on purpose, configured
// by Envoy's HTTPFault message and with Envoy's answers. Clients can steer it by
// headers only where the configuration says so, and at most as far as it says.
package fault

import (
	"sync/atomic"
	"time"

	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"

// Factory makes the filters, which count in the set.
func Factory(set *counters.Set) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			s, err := unpack(c.Typed)
			if err != nil {
				return nil, err
			}
			of := func(name string, gauge bool) *atomic.Int64 {
				return set.Of(counters.Name{Scope: counters.HTTP, Of: c.StatPrefix, Name: "fault." + name, Gauge: gauge})
			}
			return &Filter{name: c.Name, own: s, active: of("active_faults", true), aborts: of("aborts_injected", false),
				delays: of("delays_injected", false), rates: of("response_rl_injected", false), overflow: of("faults_overflow", false)}, nil
		},
		PerRoute: func(a *anypb.Any) (any, error) {
			s, err := unpack(a)
			return s, err
		},
	}
}

func unpack(a *anypb.Any) (*settings, error) {
	var m faultv3.HTTPFault
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	return compile(&m)
}

// Filter is one compiled configuration.
type Filter struct {
	name string
	own  *settings

	active, aborts, delays, rates, overflow *atomic.Int64
}

var _ filter.Encoder = (*Filter)(nil)

// Decode holds the request up, or answers it, as far as it is to be hit.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	if x.Again {
		return true
	}
	s := f.own
	if r, ok := x.Route.(filter.Route); ok && r != nil {
		if own, ok := r.FilterConfig(f.name).(*settings); ok {
			s = own
		}
	}
	if s.most >= 0 && f.active.Load() >= s.most {
		f.overflow.Add(1)
		return true
	}
	if !s.concerns(x) {
		return true
	}
	counted := false
	if kbps := s.rate.of(&x.Request.Header); kbps > 0 {
		f.injected(x, f.rates, &counted)
		x.Keep(f, kbps)
	}
	if d := s.delay.of(&x.Request.Header); d > 0 {
		f.injected(x, f.delays, &counted)
		s.metadata.Write(x, f.name)
		x.Delayed = true
		if !x.Sleep(d) {
			return false
		}
	}
	status, grpc, ok := s.abort.of(&x.Request.Header)
	if !ok {
		return true
	}
	f.injected(x, f.aborts, &counted)
	s.metadata.Write(x, f.name)
	x.Flags = "FI"
	if grpc >= 0 {
		x.ReplyGRPC(status, grpc, s.body, "fault_filter_abort")
	} else {
		x.Reply(status, s.body, "fault_filter_abort")
	}
	return false
}

// Encode slows the answer's content down.
func (f *Filter) Encode(x *exchange.Exchange) {
	kbps, ok := x.Kept(f).(uint64)
	if src, is := x.Response.Body.(exchange.Content); ok && is && !src.Done() {
		x.Response.Body = newSlow(src, kbps<<10)
	}
}

// injected counts a fault. The request is one active fault until its end, however many
// hit it.
func (f *Filter) injected(x *exchange.Exchange, counter *atomic.Int64, counted *bool) {
	counter.Add(1)
	if !*counted {
		*counted = true
		f.active.Add(1)
		x.AtEnd(func() { f.active.Add(-1) })
	}
}

// clusterOf is what the filter asks a route.
type clusterOf interface {
	Cluster(*exchange.Exchange) string
}

// concerns tells whether the settings are for the request.
func (s *settings) concerns(x *exchange.Exchange) bool {
	if s.cluster != "" {
		if r, ok := x.Route.(clusterOf); !ok || r == nil || r.Cluster(x) != s.cluster {
			return false
		}
	}
	if s.nodes != nil && !s.nodes[x.Request.Header.Get("x-envoy-downstream-service-node")] {
		return false
	}
	for _, h := range s.headers {
		if !h.Match(x) {
			return false
		}
	}
	return true
}

// maxDelay bounds what a header can ask for; a stream's idle time is mostly shorter.
const maxDelay = 24 * time.Hour
