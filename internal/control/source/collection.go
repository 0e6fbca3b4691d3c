package source

import (
	"sort"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// collection is the objects of one kind as their informer tells them. It keeps
// the old pointer of an object that changed in nothing that matters.
type collection struct {
	same   func(old, new metav1.Object) bool
	notify func()

	mu      sync.Mutex
	objects map[string]metav1.Object
	sorted  []metav1.Object // nil if it must be made again
}

func newCollection(same func(old, new metav1.Object) bool, notify func()) *collection {
	return &collection{same: same, notify: notify, objects: map[string]metav1.Object{}}
}

func (c *collection) set(obj any) {
	o, ok := obj.(metav1.Object)
	if !ok {
		return
	}
	key := o.GetNamespace() + "/" + o.GetName()
	c.mu.Lock()
	old, had := c.objects[key]
	if had && old.GetResourceVersion() == o.GetResourceVersion() || had && c.same(old, o) {
		c.mu.Unlock()
		return
	}
	c.objects[key] = o
	c.sorted = nil
	c.mu.Unlock()
	c.notify()
}

func (c *collection) delete(obj any) {
	if d, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = d.Obj
	}
	o, ok := obj.(metav1.Object)
	if !ok {
		return
	}
	c.mu.Lock()
	delete(c.objects, o.GetNamespace()+"/"+o.GetName())
	c.sorted = nil
	c.mu.Unlock()
	c.notify()
}

// list gives the objects sorted by namespace and name; the slice is shared.
func (c *collection) list() []metav1.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sorted != nil {
		return c.sorted
	}
	out := make([]metav1.Object, 0, len(c.objects))
	for _, o := range c.objects {
		out = append(out, o)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.GetNamespace() != b.GetNamespace() {
			return a.GetNamespace() < b.GetNamespace()
		}
		return a.GetName() < b.GetName()
	})
	c.sorted = out
	return out
}

// handler feeds the collection from an informer.
func (c *collection) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    c.set,
		UpdateFunc: func(_, obj any) { c.set(obj) },
		DeleteFunc: c.delete,
	}
}
