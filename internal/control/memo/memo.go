// Package memo keeps what pure functions gave, by key and inputs, so that a
// change recomputes what depends on it and nothing else. It knows nothing of
// what is kept.
package memo

// Table keeps one result for each key. It is not safe for concurrent use.
type Table[K comparable, V any] struct {
	entries map[K]*entry[V]
	turn    uint64
}

type entry[V any] struct {
	deps  []any
	value V
	used  uint64
}

// Get gives the result for key: the one kept if it was made from the same
// inputs, else a new one. Inputs are compared by ==, so they are pointers to
// what never changes, or plain values.
func (t *Table[K, V]) Get(key K, deps []any, build func() V) V {
	if e, ok := t.entries[key]; ok && equal(e.deps, deps) {
		e.used = t.turn
		return e.value
	}
	v := build()
	if t.entries == nil {
		t.entries = map[K]*entry[V]{}
	}
	t.entries[key] = &entry[V]{deps: deps, value: v, used: t.turn}
	return v
}

// Turn ends a round and forgets what was not asked for in it.
func (t *Table[K, V]) Turn() {
	for k, e := range t.entries {
		if e.used != t.turn {
			delete(t.entries, k)
		}
	}
	t.turn++
}

// Len is the number of results kept.
func (t *Table[K, V]) Len() int { return len(t.entries) }

func equal(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
