package metrics

import (
	"cmp"
	"slices"
	"strings"
)

// HTTPCounter is a counter of a connection manager under Envoy's name, such as
// "jwt_authn.allowed": in plain text http.<manager>.jwt_authn.allowed, in
// Prometheus' envoy_http_jwt_authn_allowed with the manager as a label.
type HTTPCounter struct {
	Manager string // its stat_prefix
	Name    string
	Value   uint64
}

// AddHTTP shows the counters that list gives whenever metrics are read.
func (r *Registry) AddHTTP(list func() []HTTPCounter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.http = append(r.http, list)
}

func writeHTTP(t *textWriter, lists []func() []HTTPCounter) {
	var all []HTTPCounter
	for _, l := range lists {
		all = append(all, l()...)
	}
	if t.plain {
		slices.SortFunc(all, func(a, b HTTPCounter) int {
			return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Name, b.Name))
		})
		for _, c := range all {
			t.sample("http."+colon.Replace(c.Manager+"."+c.Name), nil, float64(c.Value))
		}
		return
	}
	slices.SortFunc(all, func(a, b HTTPCounter) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Manager, b.Manager))
	})
	last := ""
	for _, c := range all {
		name := "envoy_http_" + metricName(c.Name)
		if name != last {
			t.head(name, Counter, "Envoy's counter "+c.Name+" of a connection manager.")
			last = name
		}
		t.sample(name, []label{{"envoy_http_conn_manager_prefix", c.Manager}}, float64(c.Value))
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
