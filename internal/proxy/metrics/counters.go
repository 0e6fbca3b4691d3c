package metrics

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// AddCounters shows the counters that list gives whenever metrics are read.
func (r *Registry) AddCounters(list func() []counters.Value) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters = append(r.counters, list)
}

func collectCounters(all []stat, lists []func() []counters.Value) []stat {
	for _, l := range lists {
		for _, c := range l() {
			text := c.Scope.Prefix + c.Of + "." + c.Name.Name
			name, labels := untag(text)
			if c.Scope.Label != "" {
				name, labels = untag(c.Scope.Prefix + c.Name.Name)
				labels = append(labels, label{c.Scope.Label, c.Of})
			}
			s := stat{text: colon.Replace(text), name: "envoy_" + metricName(name), labels: labels, kind: Counter, value: float64(c.Value)}
			switch {
			case c.Histogram != nil:
				s.kind, s.buckets = Histogram, &buckets{bounds: counters.Bounds}
				s.buckets.counts, s.buckets.sum = c.Histogram.Load()
			case c.Gauge:
				s.kind = Gauge
			}
			all = append(all, s)
		}
	}
	return all
}

// colon: Envoy's names have none.
var colon = strings.NewReplacer(":", "_")

// metricName gives a text that Prometheus takes for a part of a name.
func metricName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
}
