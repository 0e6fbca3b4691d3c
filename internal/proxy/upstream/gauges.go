package upstream

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// Gauges tells how the cluster is now, under Envoy's names.
func (c *Cluster) Gauges() []counters.Value {
	var all, healthy, degraded, excluded, active, conns int64
	for _, m := range c.members() {
		all++
		active += m.host.active.Load()
		conns += m.host.Counts.CxActive.Load()
		switch m.state() {
		case corev3.HealthStatus_HEALTHY:
			healthy++
		case corev3.HealthStatus_DEGRADED:
			degraded++
		}
		if m.excluded() {
			excluded++
		}
	}
	var out []counters.Value
	for _, g := range []struct {
		name  string
		value int64
	}{
		{"membership_total", all}, {"membership_healthy", healthy}, {"membership_degraded", degraded}, {"membership_excluded", excluded},
		{"upstream_rq_active", active}, {"upstream_rq_pending_active", c.breakers[Default].pending.Load() + c.breakers[High].pending.Load()}, {"upstream_cx_active", conns},
	} {
		out = append(out, counters.Value{Name: counters.Name{Scope: counters.Cluster, Of: c.stat, Name: g.name, Gauge: true}, Value: uint64(max(0, g.value))})
	}
	return append(out, c.breakerGauges()...)
}
