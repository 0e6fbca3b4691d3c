package metrics

import (
	"cmp"
	"slices"
)

// RBACCounter is a counter of RBAC filters for connections under Envoy's name: in plain
// text <prefix>.rbac.denied, in Prometheus' envoy_rbac_denied with the prefix as a label.
type RBACCounter struct {
	Prefix string // stat_prefix
	Name   string // such as "rbac.denied"
	Value  uint64
}

// AddRBAC shows the counters that list gives whenever metrics are read.
func (r *Registry) AddRBAC(list func() []RBACCounter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rbac = list
}

func writeRBAC(t *textWriter, list func() []RBACCounter) {
	if list == nil {
		return
	}
	all := list()
	if t.plain {
		for _, c := range all {
			t.sample(colon.Replace(c.Prefix+"."+c.Name), nil, float64(c.Value))
		}
		return
	}
	slices.SortStableFunc(all, func(a, b RBACCounter) int { return cmp.Compare(a.Name, b.Name) })
	last := ""
	for _, c := range all {
		name := "envoy_" + metricName(c.Name)
		if name != last {
			t.head(name, Counter, "Envoy's counter "+c.Name+" of filters for connections.")
			last = name
		}
		t.sample(name, []label{{"envoy_rbac_prefix", c.Prefix}}, float64(c.Value))
	}
}
