package metrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// AddCounters shows the counters that list gives whenever metrics are read.
func (r *Registry) AddCounters(list func() []counters.Value) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters = append(r.counters, list)
}

func writeCounters(t *textWriter, lists []func() []counters.Value) {
	var all []counters.Value
	for _, l := range lists {
		all = append(all, l()...)
	}
	if t.plain {
		text := func(v counters.Value) string { return v.Scope.Prefix + v.Of + "." + v.Name.Name }
		slices.SortFunc(all, func(a, b counters.Value) int { return cmp.Compare(text(a), text(b)) })
		for _, c := range all {
			t.sample(colon.Replace(text(c)), nil, float64(c.Value))
		}
		return
	}
	slices.SortFunc(all, func(a, b counters.Value) int {
		return cmp.Or(cmp.Compare(a.Scope.Prefix, b.Scope.Prefix), cmp.Compare(a.Name.Name, b.Name.Name),
			cmp.Compare(a.Scope.Label, b.Scope.Label), cmp.Compare(a.Of, b.Of))
	})
	last := ""
	for _, c := range all {
		name := "envoy_" + metricName(c.Scope.Prefix+c.Name.Name)
		if name != last {
			kind := Counter
			if c.Gauge {
				kind = Gauge
			}
			t.head(name, kind, "Envoy's "+string(kind)+" "+c.Name.Name+".")
			last = name
		}
		t.sample(name, []label{{c.Scope.Label, c.Of}}, float64(c.Value))
	}
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
