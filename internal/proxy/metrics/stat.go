package metrics

import (
	"cmp"
	"slices"
)

// Kind is what a statistic is, by Prometheus' name.
type Kind string

// The kinds of statistics.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// stat is one statistic as it stands.
type stat struct {
	text    string // its name in Envoy's text, with labels that are no part of it
	name    string // its name for Prometheus
	labels  []label
	kind    Kind
	help    string // "": none
	value   float64
	buckets *buckets // of a histogram
}

// used tells whether something was counted. Envoy remembers that besides, where a value
// went up and down again.
func (s *stat) used() bool {
	if s.kind == Histogram {
		return s.buckets.count() > 0
	}
	return s.value != 0
}

// byText is Envoy's order of /stats: histograms stand last.
func byText(a, b stat) int {
	last := func(s stat) int {
		if s.kind == Histogram {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a.text, b.text))
}

// byName is Envoy's order of /stats/prometheus: counters, gauges, histograms.
func byName(a, b stat) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name),
		slices.CompareFunc(a.labels, b.labels, func(x, y label) int {
			return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.value, y.value))
		}))
}

// collect gives everything that the query asks for, in no order.
func (r *Registry) collect(q *Query) []stat {
	r.mu.Lock()
	values, keySets, counters, base := r.values, r.keySets, r.counters, r.base
	r.mu.Unlock()
	var all []stat
	for _, v := range values {
		all = append(all, v.stat())
	}
	all = keySets.collect(all)
	all = collectCounters(all, counters)
	all = r.Requests.collect(all)
	for i := range all {
		if s := &all[i]; s.kind == Counter {
			s.value = max(0, s.value-base[s.text])
		}
	}
	return slices.DeleteFunc(all, func(s stat) bool { return !q.wants(&s) })
}

// Reset has all counters begin at zero again. Gauges and histograms stay, as in Envoy.
func (r *Registry) Reset() {
	r.mu.Lock()
	r.base = nil
	r.mu.Unlock()
	base := map[string]float64{}
	for _, s := range r.collect(&Query{Kind: Counter, UsedOnly: true}) {
		base[s.text] = s.value
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = base
}
