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

// Statuses counts calls by their status of gRPC: names such as 0 and 14, success, failure,
// total. A status that gRPC does not know is a failure alone.
type Statuses struct{ n [18]atomic.Uint64 }

// Inc counts a call.
func (c *Statuses) Inc(status int) {
	if status < 0 || status >= len(c.n) {
		status = len(c.n) - 1
	}
	c.n[status].Add(1)
}

// Lister is a field of a group that holds structs which traffic has named: List gives
// each with what its names begin with, behind the field's own. What is zero there is not told.
type Lister interface {
	List(each func(prefix string, in any))
}

// list gives the values of a group.
func (g group) list(out []Value, in any) []Value {
	l := lister{g.owner, out}
	l.add("", in, false)
	return l.out
}

type lister struct {
	of  owner
	out []Value
}

// add gives the values of a struct.
func (l *lister) add(prefix string, in any, used bool) {
	name := func(s string) Name { return Name{Scope: l.of.scope, Of: l.of.of, Name: prefix + s} }
	add := func(s string, v uint64) {
		if !used || v > 0 {
			l.out = append(l.out, Value{Name: name(s), Value: v})
		}
	}
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("stat")
		switch f := v.Field(i).Addr().Interface().(type) {
		case *Counter:
			add(tag, f.Load())
		case *Gauge:
			n := name(tag)
			n.Gauge = true
			l.out = append(l.out, Value{Name: n, Value: uint64(max(0, f.Load()))})
		case *Histogram:
			if !used || f.in.Load() != nil {
				l.out = append(l.out, Value{Name: name(tag), Histogram: f})
			}
		case *Classes:
			all := uint64(0)
			for i := range f.n {
				n := f.n[i].Load()
				all += n
				add(tag+strconv.Itoa(i+1)+"xx", n)
			}
			add(tag+"completed", all)
		case *Codes:
			f.list(tag, add)
		case *Statuses:
			f.list(tag, add)
		case Lister:
			f.List(func(more string, in any) { l.add(prefix+tag+more, in, true) })
		}
	}
}

func (c *Codes) list(tag string, add func(string, uint64)) {
	all := uint64(0)
	for i := range c.classes {
		of := uint64(0)
		if l := c.classes[i].Load(); l != nil {
			for j := range l {
				if n := l[j].Load(); n > 0 {
					of += n
					add(tag+strconv.Itoa(100*(i+1)+j), n)
				}
			}
			add(tag+strconv.Itoa(i+1)+"xx", of)
		}
		all += of
	}
	add(tag+"completed", all)
}

func (c *Statuses) list(tag string, add func(string, uint64)) {
	ok, all := c.n[0].Load(), uint64(0)
	for i := range c.n {
		n := c.n[i].Load()
		all += n
		if i < len(c.n)-1 {
			add(tag+strconv.Itoa(i), n)
		}
	}
	add(tag+"success", ok)
	add(tag+"failure", all-ok)
	add(tag+"total", all)
}
