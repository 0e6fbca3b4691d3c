// Package metrics counts what the proxy does: requests under Istio's metric names
// and labels, and the proxy's own state under Envoy's. Counting is atomics; the
// text is made when it is read. Labels come from configuration and certificates,
// never from requests or tokens, and the number of series is bounded.
package metrics

import (
	"strings"
	"sync"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// Registry holds everything that is shown.
type Registry struct {
	Requests *Requests

	mu       sync.Mutex
	values   []value
	keySets  *KeySets // nil: none are shown
	counters []func() []counters.Value
	base     map[string]float64 // what counters were at the last Reset, by their text
}

type value struct {
	name, help string
	kind       Kind
	read       func() float64
}

// New makes a registry for a proxy that is called so.
func New(self Self) *Registry { return &Registry{Requests: newRequests(self)} }

// Add shows a value that is asked for whenever metrics are read. A name with dots is
// Envoy's, of which Prometheus' name follows.
func (r *Registry) Add(name string, kind Kind, help string, read func() float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = append(r.values, value{name, help, kind, read})
}

func (v *value) stat() stat {
	s := stat{text: v.name, name: v.name, kind: v.kind, help: v.help, value: v.read()}
	if strings.Contains(v.name, ".") {
		s.name = "envoy_" + metricName(v.name)
	}
	return s
}
