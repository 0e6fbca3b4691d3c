// Package healthcheck is the filter that answers health checks of the proxy, or marks
// those that it passes on, configured by Envoy's HealthCheck message. The proxy is well
// as long as it takes requests: while it drains, it takes none.
package healthcheck

import (
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck"

// Factory makes the filters of a proxy whose node belongs to the cluster.
func Factory(cluster string) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			var m healthv3.HealthCheck
			if err := strict.Unpack(c.Typed, &m); err != nil {
				return nil, err
			}
			if err := strict.Only(&m, "pass_through_mode", "headers"); err != nil {
				return nil, err
			}
			if m.GetPassThroughMode() == nil {
				return nil, strict.Errorf("pass_through_mode", "missing")
			}
			f := &Filter{cluster: cluster, pass: m.GetPassThroughMode().GetValue()}
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
	pass    bool
	headers []*match.Header // all must match; none: every request is a health check
}

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
	if f.pass {
		return true
	}
	x.ReplyGRPC(200, grpcUnknown, "", "health_check_ok")
	return false
}

// grpcUnknown is UNKNOWN, which Envoy makes of 200 for a gRPC request.
const grpcUnknown = 2

// Encode says whose health it is.
func (f *Filter) Encode(x *exchange.Exchange) {
	if x.Kept(f) != nil {
		x.Response.Header.Set("x-envoy-upstream-healthchecked-cluster", f.cluster)
	}
}
