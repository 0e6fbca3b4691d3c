package xds

import (
	"hash/maphash"
	"slices"
	"sync"
	"weak"
)

// nameSet is an immutable sorted set of names. Proxies that subscribe to the same
// names share one.
type nameSet struct{ names []string }

var noNames = &nameSet{}

func (s *nameSet) has(name string) bool {
	_, ok := slices.BinarySearch(s.names, name)
	return ok
}

// nameSets finds the shared set of given names. Sets that nobody holds any more
// are collected as garbage.
type nameSets struct {
	mu   sync.Mutex
	seed maphash.Seed
	sets map[uint64]weak.Pointer[nameSet]
	puts int
}

func newNameSets() *nameSets {
	return &nameSets{seed: maphash.MakeSeed(), sets: map[uint64]weak.Pointer[nameSet]{}}
}

// with gives the set s plus add less remove. It keeps the slices it is given only
// as far as their strings.
func (t *nameSets) with(s *nameSet, add, remove []string) *nameSet {
	if len(add) == 0 && len(remove) == 0 {
		return s
	}
	names := make([]string, 0, len(s.names)+len(add))
	names = append(append(names, s.names...), add...)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(remove) > 0 {
		gone := slices.Clone(remove)
		slices.Sort(gone)
		names = slices.DeleteFunc(names, func(n string) bool {
			_, found := slices.BinarySearch(gone, n)
			return found
		})
	}
	if len(names) == 0 {
		return noNames
	}
	return t.intern(names)
}

func (t *nameSets) intern(names []string) *nameSet {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, n := range names {
		h.WriteString(n)
		h.WriteByte(0)
	}
	sum := h.Sum64()
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.sets[sum]; ok {
		if s := p.Value(); s != nil && slices.Equal(s.names, names) {
			return s
		}
	}
	s := &nameSet{names: slices.Clip(names)}
	t.sets[sum] = weak.Make(s)
	if t.puts++; t.puts%1024 == 0 {
		for k, p := range t.sets {
			if p.Value() == nil {
				delete(t.sets, k)
			}
		}
	}
	return s
}
