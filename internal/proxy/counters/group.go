package counters

import (
	"math"
	"reflect"
	"strconv"
	"sync/atomic"
)

// Counter counts up.
type Counter struct{ n atomic.Uint64 }

// Inc counts one, Add some.
func (c *Counter) Inc()         { c.n.Add(1) }
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Load gives the count.
func (c *Counter) Load() uint64 { return c.n.Load() }

// Gauge goes up and down.
type Gauge struct{ n atomic.Int64 }

// Add changes it by n.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Load gives its value.
func (g *Gauge) Load() int64 { return g.n.Load() }

// Bounds are the upper bounds of Envoy's histograms, mostly in milliseconds.
var Bounds = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}

// Histogram counts values by bucket. It takes no room before the first.
type Histogram struct{ in atomic.Pointer[buckets] }

type buckets struct {
	counts [20]atomic.Uint64 // one more than Bounds
	sum    atomic.Uint64     // bits of a float64
}

// Observe counts a value.
func (h *Histogram) Observe(v float64) {
	b := h.in.Load()
	for b == nil {
		h.in.CompareAndSwap(nil, new(buckets))
		b = h.in.Load()
	}
	i := 0
	for i < len(Bounds) && v > Bounds[i] {
		i++
	}
	b.counts[i].Add(1)
	for {
		old := b.sum.Load()
		if b.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Load gives what is in the buckets, the last of which has no bound, and the sum.
func (h *Histogram) Load() (counts []uint64, sum float64) {
	counts = make([]uint64, len(Bounds)+1)
	b := h.in.Load()
	if b == nil {
		return counts, 0
	}
	for i := range counts {
		counts[i] = b.counts[i].Load()
	}
	return counts, math.Float64frombits(b.sum.Load())
}

// Classes counts answers by the first digit of their status: names such as 2xx, and
// completed for all.
type Classes struct{ n [5]atomic.Uint64 }

// Inc counts an answer.
func (c *Classes) Inc(status int) {
	if i := status/100 - 1; i >= 0 && i < len(c.n) {
		c.n[i].Add(1)
	}
}

// Codes counts answers by their status: names such as 200 and 2xx for those that there
// were, and completed for all. It takes no room for classes of which there was none.
type Codes struct {
	classes [5]atomic.Pointer[[100]atomic.Uint64]
}

// Inc counts an answer.
func (c *Codes) Inc(status int) {
	i := status/100 - 1
	if i < 0 || i >= len(c.classes) {
		return
	}
	l := c.classes[i].Load()
	for l == nil {
		c.classes[i].CompareAndSwap(nil, new([100]atomic.Uint64))
		l = c.classes[i].Load()
	}
	l[status%100].Add(1)
}

// group are the statistics of an owner that are fields of one struct.
type group struct {
	owner
	of reflect.Type
}

// Group gives the struct of that type that is of the owner, made when it is first asked
// for, and kept as other counters of the owner are (Hold). Its fields are of this file's
// types, each with its name in the tag "stat", which is what names begin with for Classes
// and Codes. A nil Set's is nobody's.
func Group[T any](s *Set, scope Scope, of string) *T {
	if s == nil {
		return new(T)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := group{owner{scope, of}, reflect.TypeFor[T]()}
	if g, ok := s.groups[key].(*T); ok {
		return g
	}
	if s.groups == nil {
		s.groups = map[group]any{}
	}
	g := new(T)
	s.groups[key] = g
	return g
}

// list gives the values of a group.
func (g group) list(out []Value, in any) []Value {
	add := func(name string, v uint64, gauge bool) {
		out = append(out, Value{Name: Name{Scope: g.scope, Of: g.owner.of, Name: name, Gauge: gauge}, Value: v})
	}
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("stat")
		switch f := v.Field(i).Addr().Interface().(type) {
		case *Counter:
			add(name, f.Load(), false)
		case *Gauge:
			add(name, uint64(max(0, f.Load())), true)
		case *Histogram:
			out = append(out, Value{Name: Name{Scope: g.scope, Of: g.owner.of, Name: name}, Histogram: f})
		case *Classes:
			all := uint64(0)
			for i := range f.n {
				n := f.n[i].Load()
				all += n
				add(name+strconv.Itoa(i+1)+"xx", n, false)
			}
			add(name+"completed", all, false)
		case *Codes:
			all := uint64(0)
			for i := range f.classes {
				of := uint64(0)
				if l := f.classes[i].Load(); l != nil {
					for j := range l {
						if n := l[j].Load(); n > 0 {
							of += n
							add(name+strconv.Itoa(100*(i+1)+j), n, false)
						}
					}
					add(name+strconv.Itoa(i+1)+"xx", of, false)
				}
				all += of
			}
			add(name+"completed", all, false)
		}
	}
	return out
}
