package xds

import (
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
)

// resources are those of one kind by name: a generator's shared, immutable map.
type resources = map[string]*xdsgen.Resource

func same(a, b resources) bool { return address(a) == address(b) }

func address(r resources) unsafe.Pointer { return reflect.ValueOf(r).UnsafePointer() }

// worthSharing is the size from which a comparison is kept for other proxies.
const worthSharing = 64

// comparisons remembers what differs between two shared maps, so that a change is
// looked for once, not once a proxy. What was not asked for since the model before
// the last is forgotten.
type comparisons struct {
	mu             sync.Mutex
	current, older map[[2]unsafe.Pointer]*comparison
}

type comparison struct {
	once     sync.Once
	from, to resources // held, so that no other map takes their addresses
	names    []string
}

func newComparisons() *comparisons {
	return &comparisons{current: map[[2]unsafe.Pointer]*comparison{}}
}

// age is called once a model.
func (c *comparisons) age() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.older, c.current = c.current, make(map[[2]unsafe.Pointer]*comparison)
}

// between gives the sorted names whose version differs, or which only one map has.
func (c *comparisons) between(from, to resources) []string {
	if same(from, to) {
		return nil
	}
	if len(from)+len(to) < worthSharing {
		return differing(from, to)
	}
	key := [2]unsafe.Pointer{address(from), address(to)}
	c.mu.Lock()
	d := c.current[key]
	if d == nil {
		if d = c.older[key]; d == nil {
			d = &comparison{from: from, to: to}
		}
		c.current[key] = d
	}
	c.mu.Unlock()
	d.once.Do(func() { d.names = differing(d.from, d.to) })
	return d.names
}

func differing(from, to resources) []string {
	var names []string
	for n, r := range to {
		if old := from[n]; old != r && (old == nil || old.Version != r.Version) {
			names = append(names, n)
		}
	}
	for n := range from {
		if to[n] == nil {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}
