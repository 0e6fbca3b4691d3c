package xds

import (
	"sync"
	"unsafe"

	"github.com/usher-mesh/usher/internal/mesh"
)

// originIndex remembers which objects a shared map of resources came from.
type originIndex struct {
	mu             sync.Mutex
	current, older map[unsafe.Pointer]*originSet
}

type originSet struct {
	of   resources // held, so that no other map takes its address
	refs map[mesh.Ref]struct{}
}

func newOriginIndex() *originIndex { return &originIndex{current: map[unsafe.Pointer]*originSet{}} }

// age is called once a model; what nobody asked for since the last but one is
// forgotten.
func (o *originIndex) age() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.older, o.current = o.current, make(map[unsafe.Pointer]*originSet)
}

func (o *originIndex) has(r resources, ref mesh.Ref) bool {
	if len(r) == 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := address(r)
	s := o.current[key]
	if s == nil {
		if s = o.older[key]; s == nil {
			s = &originSet{of: r, refs: map[mesh.Ref]struct{}{}}
			for _, res := range r {
				for _, ref := range res.Origins {
					s.refs[ref] = struct{}{}
				}
			}
		}
		o.current[key] = s
	}
	_, ok := s.refs[ref]
	return ok
}
