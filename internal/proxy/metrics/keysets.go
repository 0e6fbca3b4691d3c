package metrics

import (
	"sync"
	"time"
)

// seconds are the bounds of the histogram of fetches.
var seconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// KeySet is one set of keys that the proxy fetches.
type KeySet struct {
	Cluster, URI string
	Keys         int           // in force
	Age          time.Duration // since the issuer confirmed them; negative: never
	Warnings     int           // keys that are not used
	Fetches      uint64
	Failures     map[string]uint64 // by reason
}

// KeySets are the metrics of key sets, under the names that the control plane has.
type KeySets struct {
	list func() []KeySet

	mu   sync.Mutex
	took map[string]*histogram // by result
}

// AddKeySets shows the sets that list gives whenever metrics are read.
func (r *Registry) AddKeySets(list func() []KeySet) *KeySets {
	k := &KeySets{list: list, took: map[string]*histogram{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keySets = k
	return k
}

// Observe counts a fetch that ended with the result: "ok" or a reason of a bounded
// number.
func (k *KeySets) Observe(took time.Duration, result string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.took[result]
	if h == nil {
		h = newHistogram(seconds)
		k.took[result] = h
	}
	h.observe(took.Seconds())
}

func (k *KeySets) collect(all []stat) []stat {
	if k == nil {
		return all
	}
	sets := k.list()
	add := func(name string, kind Kind, help string, labels []label, v float64) {
		all = append(all, stat{text: labelled(name, labels), name: name, labels: labels, kind: kind, help: help, value: v})
	}
	for _, s := range sets {
		add("usher_jwks_keys", Gauge, "Keys in force; 0: tokens are refused.", s.labels(), float64(s.Keys))
		if s.Age >= 0 {
			add("usher_jwks_age_seconds", Gauge, "Time since the issuer last confirmed the keys.", s.labels(), s.Age.Seconds())
		}
		add("usher_jwks_warnings", Gauge, "Keys that are not used, or should not be published.", s.labels(), float64(s.Warnings))
		add("usher_jwks_fetches_total", Counter, "Fetches.", s.labels(), float64(s.Fetches))
		for _, why := range sorted(s.Failures) {
			add("usher_jwks_fetch_failures_total", Counter, "Fetches that failed.", append(s.labels(), label{"reason", why}), float64(s.Failures[why]))
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	const name = "usher_jwks_fetch_seconds"
	for _, result := range sorted(k.took) {
		labels := []label{{"result", result}}
		all = append(all, stat{text: labelled(name, labels), name: name, labels: labels, kind: Histogram,
			help: "How long fetches of key sets take, by how they end.", buckets: k.took[result].now()})
	}
	return all
}

func (s KeySet) labels() []label { return []label{{"cluster", s.Cluster}, {"uri", s.URI}} }
