package app

import (
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/filter/jwtauthn"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
)

// jwtCounters shows what the JWT filters count, under Envoy's names.
func jwtCounters(c *jwtauthn.Counters, k *keySets) func() []counters.Value {
	return func() (out []counters.Value) {
		for _, n := range c.List(k.fetches) {
			name := "jwt_authn."
			if n.Of.Filter != "" {
				name += n.Of.Filter + "."
			}
			out = append(out, counters.Value{Name: counters.Name{Scope: counters.HTTP, Of: n.Of.Manager, Name: name + n.Name}, Value: n.Value})
		}
		return out
	}
}

// clusterGauges tells how the clusters are now.
func (p *proxy) clusterGauges() (out []counters.Value) {
	for _, c := range p.snapshot().Clusters {
		out = append(out, c.Gauges()...)
	}
	return out
}

// fetches counts the fetches of a key set, good ones and others.
func (k *keySets) fetches(s jwtauthn.Source) (good, failed uint64) {
	c, err := k.cache(s.Cluster)
	if err != nil {
		return 0, 0
	}
	for _, state := range c.States() {
		if state.URI == s.URI {
			for _, n := range state.Failures {
				failed += n
			}
			return state.Fetches - failed, failed
		}
	}
	return 0, 0
}

// http2Counters shows what one side's connections of HTTP/2 count, all together.
func http2Counters(m *metrics.Registry, prefix string, c *http2.Counters) {
	c.Each(func(name string, value func() uint64) {
		m.Add(prefix+name, metrics.Counter, "Envoy's counter http2."+name+".", func() float64 { return float64(value()) })
	})
}
