package localratelimit

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// pool is a bucket, or none: a limit that lets nothing pass.
type pool struct {
	*bucket      // nil: nothing passes
	shadow  bool // who is over it passes nevertheless
}

func (p *pool) take(n float64) bool { return p.bucket != nil && p.bucket.take(n) }

// buckets are those of one limit: for all connections, or for one.
type buckets struct {
	def  *pool // nil: no limit
	of   map[string]*pool
	both bool // def counts what has a bucket of its own, too
}

// key joins a descriptor's entries, whatever they hold.
func key(entries []descriptor.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		for _, s := range [2]string{e.Key, e.Value} {
			b.WriteString(strconv.Itoa(len(s)))
			b.WriteByte(':')
			b.WriteString(s)
		}
	}
	return b.String()
}

// copy makes them anew, full.
func (b *buckets) copy() *buckets {
	out := &buckets{both: b.both, def: b.def.copy()}
	for k, p := range b.of {
		if out.of == nil {
			out.of = make(map[string]*pool, len(b.of))
		}
		out.of[k] = p.copy()
	}
	return out
}

func (p *pool) copy() *pool {
	if p == nil || p.bucket == nil {
		return p
	}
	return &pool{p.bucket.fresh(), p.shadow}
}

// share is a descriptor's bucket, and what the request takes of it.
type share struct {
	*pool
	hits float64
}

// shares gives the buckets of the request's descriptors, the slowest first.
func (l *limit) shares(b *buckets, lists [2][]*descriptor.Policy, x *exchange.Exchange) (out []share) {
	for _, list := range lists {
		for _, p := range list {
			if p.AtEnd || !p.Counts(l.stage) { // what counts at the end is of servers alone
				continue
			}
			d, ok := p.Of(x, l.node)
			if !ok {
				continue
			}
			if found := b.of[key(d.Entries)]; found != nil {
				m := share{found, 1}
				if d.Hits != nil {
					m.hits = float64(*d.Hits)
				}
				out = append(out, m)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b share) int { return cmp.Compare(a.speed(), b.speed()) })
	return out
}

func (p *pool) speed() float64 {
	if p.bucket == nil {
		return 0
	}
	return p.rate
}

// take takes of all buckets that the request is under, until one has none left. It gives
// the bucket that says how much is left, nil if there is none, and whether one that only
// shows what it would do had none.
func (b *buckets) take(of []share) (by *pool, shown, ok bool) {
	for _, m := range of {
		switch {
		case m.take(m.hits):
		case m.shadow:
			shown = true
		default:
			return m.pool, shown, false
		}
	}
	if len(of) > 0 {
		by = of[0].pool
		if !b.both {
			return by, shown, true
		}
	}
	if b.def == nil {
		return by, shown, true
	}
	if !b.def.take(1) {
		return b.def, shown, false
	}
	if by == nil {
		by = b.def
	}
	return by, shown, true
}
