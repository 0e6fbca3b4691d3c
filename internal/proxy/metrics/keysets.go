package metrics

import (
	"maps"
	"slices"
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

func (k *KeySets) write(t *textWriter) {
	if k == nil {
		return
	}
	all := k.list()
	each := func(name string, kind Kind, help string, read func(KeySet) (float64, bool)) {
		t.head(name, kind, help)
		for _, s := range all {
			if v, ok := read(s); ok {
				t.sample(name, s.labels(), v)
			}
		}
	}
	each("usher_jwks_keys", Gauge, "Keys in force; 0: tokens are refused.", func(s KeySet) (float64, bool) { return float64(s.Keys), true })
	each("usher_jwks_age_seconds", Gauge, "Time since the issuer last confirmed the keys.", func(s KeySet) (float64, bool) { return s.Age.Seconds(), s.Age >= 0 })
	each("usher_jwks_warnings", Gauge, "Keys that are not used, or should not be published.", func(s KeySet) (float64, bool) { return float64(s.Warnings), true })
	each("usher_jwks_fetches_total", Counter, "Fetches.", func(s KeySet) (float64, bool) { return float64(s.Fetches), true })
	t.head("usher_jwks_fetch_failures_total", Counter, "Fetches that failed.")
	for _, s := range all {
		for _, why := range slices.Sorted(maps.Keys(s.Failures)) {
			t.sample("usher_jwks_fetch_failures_total", s.labels(), float64(s.Failures[why]), label{"reason", why})
		}
	}
	t.head("usher_jwks_fetch_seconds", "histogram", "How long fetches of key sets take, by how they end.")
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, result := range slices.Sorted(maps.Keys(k.took)) {
		k.took[result].write(t, "usher_jwks_fetch_seconds", []label{{"result", result}})
	}
}

func (s KeySet) labels() []label { return []label{{"cluster", s.Cluster}, {"uri", s.URI}} }
