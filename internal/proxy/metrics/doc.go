// Package metrics counts what the proxy does: requests under Istio's metric names
// and labels, and the proxy's own state under Envoy's. Counting is atomics; the
// text is made when it is read. Labels come from configuration and certificates,
// never from requests or tokens, and the number of series is bounded.
package metrics

import (
	"io"
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
}

// Kind is a Prometheus type.
type Kind string

// The kinds of plain values.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
)

type value struct {
	name, help string
	kind       Kind
	read       func() float64
}

// New makes a registry for a proxy that is called so.
func New(self Self) *Registry { return &Registry{Requests: newRequests(self)} }

// Add shows a value that is asked for whenever metrics are read.
func (r *Registry) Add(name string, kind Kind, help string, read func() float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = append(r.values, value{name, help, kind, read})
}

// WritePrometheus writes all metrics in Prometheus' text format, version 0.0.4.
func (r *Registry) WritePrometheus(w io.Writer) error {
	t := &textWriter{}
	r.mu.Lock()
	values, keySets, counters := r.values, r.keySets, r.counters
	r.mu.Unlock()
	for _, v := range values {
		t.head(v.name, v.kind, v.help)
		t.sample(v.name, nil, v.read())
	}
	keySets.write(t)
	writeCounters(t, counters)
	r.Requests.write(t)
	_, err := w.Write(t.b)
	return err
}

// WritePlain writes "name: value" lines, as Envoy's /stats does.
func (r *Registry) WritePlain(w io.Writer) error {
	t := &textWriter{plain: true}
	r.mu.Lock()
	values, keySets, counters := r.values, r.keySets, r.counters
	r.mu.Unlock()
	for _, v := range values {
		t.sample(v.name, nil, v.read())
	}
	keySets.write(t)
	writeCounters(t, counters)
	r.Requests.write(t)
	_, err := w.Write(t.b)
	return err
}
