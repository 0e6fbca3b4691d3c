package jwtauthn

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Stats are Envoy's counters of a filter.
type Stats struct {
	Allowed, Denied       atomic.Uint64
	CORSPreflightBypassed atomic.Uint64
	CacheHit, CacheMiss   atomic.Uint64 // tokens that a provider judged

	mu      sync.Mutex
	sources map[Source]bool // remote key sets of its providers, ever
}

// Counters are the counters of all filters of a proxy. They go on counting when a
// configuration is replaced by one of the same name.
type Counters struct {
	mu  sync.Mutex
	all map[StatName]*Stats
}

// StatName is what a filter's counters are named after: the stat_prefix of its
// connection manager and its own. Filters of one name share their counters.
type StatName struct{ Manager, Filter string }

// Counter is one counter, by Envoy's name without a prefix.
type Counter struct {
	Of    StatName
	Name  string
	Value uint64
}

func (c *Counters) of(n StatName) *Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.all[n]
	if s == nil {
		if c.all == nil {
			c.all = map[StatName]*Stats{}
		}
		s = &Stats{sources: map[Source]bool{}}
		c.all[n] = s
	}
	return s
}

// List gives all counters, in order. fetches tells how often a key set was fetched
// and how often that failed.
func (c *Counters) List(fetches func(Source) (good, failed uint64)) []Counter {
	c.mu.Lock()
	all := maps.Clone(c.all)
	c.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(all), func(a, b StatName) int {
		return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Filter, b.Filter))
	})
	var out []Counter
	for _, n := range names {
		s := all[n]
		good, failed := s.fetches(fetches)
		out = append(out,
			Counter{n, "allowed", s.Allowed.Load()}, Counter{n, "cors_preflight_bypassed", s.CORSPreflightBypassed.Load()}, Counter{n, "denied", s.Denied.Load()},
			Counter{n, "jwks_fetch_failed", failed}, Counter{n, "jwks_fetch_success", good},
			Counter{n, "jwt_cache_hit", s.CacheHit.Load()}, Counter{n, "jwt_cache_miss", s.CacheMiss.Load()})
	}
	return out
}

// fetches adds up the fetches of the key sets. One that several filters name counts
// for each.
func (s *Stats) fetches(of func(Source) (good, failed uint64)) (good, failed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for src := range s.sources {
		g, f := of(src)
		good, failed = good+g, failed+f
	}
	return good, failed
}

func (s *Stats) named(src Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources[src] = true
}

// Stats gives the filter's counters.
func (f *Filter) Stats() *Stats { return f.stats }
