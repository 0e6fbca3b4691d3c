// Package healthcheck is the filter that answers health checks of the proxy, or marks
// those that it passes on, configured by Envoy's HealthCheck message. The proxy is well
// as long as it takes requests (while it drains, it takes none) and nobody has said that it
// is to be seen as failed.
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
			if err := strict.Only(&m, "pass_through_mode", "headers"); err != nil {
				return nil, err
			}
			if m.GetPassThroughMode() == nil {
				return nil, strict.Errorf("pass_through_mode", "missing")
			}
			f := &Filter{cluster: cluster, unwell: unwell, pass: m.GetPassThroughMode().GetValue()}
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
	if f.unwell() {
		x.Flags = "LH"
		x.ReplyGRPC(503, grpcUnavailable, "", "health_check_failed")
		return false
	}
	x.ReplyGRPC(200, grpcUnknown, "", "health_check_ok")
	return false
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
		x.Response.Header.Set("x-envoy-upstream-healthchecked-cluster", f.cluster)
	}
}
