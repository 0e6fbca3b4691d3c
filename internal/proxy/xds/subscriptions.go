package xds

import (
	"maps"
	"slices"
)

// subscriptions are the names that a stream is subscribed to, by type. A type
// that was never asked for has no entry: the first request for a type must not be
// empty, since that would subscribe to everything.
type subscriptions map[string]map[string]bool

// change makes the subscription wanted and gives the difference, sorted.
func (s subscriptions) change(t string, wanted []string) (add, drop []string) {
	have := s[t]
	if have == nil {
		if len(wanted) == 0 {
			return nil, nil
		}
		have = make(map[string]bool, len(wanted))
		s[t] = have
	}
	keep := make(map[string]bool, len(wanted))
	for _, n := range wanted {
		keep[n] = true
		if !have[n] {
			have[n] = true
			add = append(add, n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(have)) {
		if !keep[n] {
			delete(have, n)
			drop = append(drop, n)
		}
	}
	slices.Sort(add)
	return add, drop
}
