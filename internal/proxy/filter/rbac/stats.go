package rbac

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Stats are Envoy's counters of a filter.
type Stats struct {
	Allowed, Denied             atomic.Uint64
	ShadowAllowed, ShadowDenied atomic.Uint64
}

func (s *Stats) count(allowed bool) {
	if allowed {
		s.Allowed.Add(1)
	} else {
		s.Denied.Add(1)
	}
}

func (s *Stats) countShadow(allowed bool) {
	if allowed {
		s.ShadowAllowed.Add(1)
	} else {
		s.ShadowDenied.Add(1)
	}
}

// Counters are the counters of all filters for connections of a proxy. They go on
// counting when a configuration is replaced by one of the same name.
type Counters struct {
	mu  sync.Mutex
	all map[statName]*Stats
}

type statName struct{ prefix, shadow string }

// Counter is one counter. Its name is Envoy's without Prefix, such as
// "rbac.shadow_denied"; in Envoy's text they are one: "tcp.rbac.shadow_denied".
type Counter struct {
	Prefix, Name string
	Value        uint64
}

// of gives the counters of filters with that stat_prefix and
// shadow_rules_stat_prefix; nil counters are nobody's.
func (c *Counters) of(prefix, shadow string) *Stats {
	if c == nil {
		return new(Stats)
	}
	n := statName{strings.TrimRight(prefix, "."), strings.TrimRight(shadow, ".")}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.all[n]
	if s == nil {
		if c.all == nil {
			c.all = map[statName]*Stats{}
		}
		s = new(Stats)
		c.all[n] = s
	}
	return s
}

// List gives all counters, in order. Filters that differ in what they put before the
// names of shadow rules alone share the others, as in Envoy.
func (c *Counters) List() []Counter {
	c.mu.Lock()
	all := maps.Clone(c.all)
	c.mu.Unlock()
	sum := map[Counter]uint64{}
	for n, s := range all {
		shadow := "rbac."
		if n.shadow != "" {
			shadow += n.shadow + "."
		}
		for name, v := range map[string]uint64{
			"rbac.allowed": s.Allowed.Load(), "rbac.denied": s.Denied.Load(),
			shadow + "shadow_allowed": s.ShadowAllowed.Load(), shadow + "shadow_denied": s.ShadowDenied.Load(),
		} {
			sum[Counter{Prefix: n.prefix, Name: name}] += v
		}
	}
	out := make([]Counter, 0, len(sum))
	for k, v := range sum {
		k.Value = v
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Counter) int { return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Name, b.Name)) })
	return out
}
