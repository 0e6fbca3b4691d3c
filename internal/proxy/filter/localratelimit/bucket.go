package localratelimit

import (
	"math"
	"sync/atomic"
	"time"
)

// bucket is a token bucket that fills steadily, as Envoy's does. All connections share
// it without a lock: what it holds is one number, the time at which it was empty, in
// seconds since the start.
type bucket struct {
	most  float64 // tokens
	rate  float64 // tokens a second
	start time.Time
	now   func() time.Time
	empty atomic.Uint64 // bits of a float64
}

// slowest is how slowly a bucket fills at least: a token in a year.
const slowest = 1.0 / (365 * 24 * 60 * 60)

// newBucket makes a full bucket.
func newBucket(most, perFill uint32, interval time.Duration, now func() time.Time) *bucket {
	b := &bucket{most: float64(most), rate: max(float64(perFill)/interval.Seconds(), slowest), start: now(), now: now}
	b.empty.Store(math.Float64bits(-b.most / b.rate))
	return b
}

// fresh makes another one like it, full.
func (b *bucket) fresh() *bucket {
	f := &bucket{most: b.most, rate: b.rate, start: b.now(), now: b.now}
	f.empty.Store(math.Float64bits(-f.most / f.rate))
	return f
}

// take takes so many tokens, if there are.
func (b *bucket) take(n float64) bool {
	for {
		old := b.empty.Load()
		at := b.now().Sub(b.start).Seconds()
		tokens := b.tokens(math.Float64frombits(old), at)
		if tokens < n {
			return false
		}
		if b.empty.CompareAndSwap(old, math.Float64bits(at-(tokens-n)/b.rate)) {
			return true
		}
	}
}

func (b *bucket) tokens(empty, at float64) float64 { return min((at-empty)*b.rate, b.most) }

// state gives the whole tokens that are left, and the seconds until there is one, rounded
// up.
func (b *bucket) state() (left, reset uint64) {
	tokens := max(b.tokens(math.Float64frombits(b.empty.Load()), b.now().Sub(b.start).Seconds()), 0)
	if tokens < 1 {
		reset = uint64(math.Ceil((1-tokens)/b.rate - 1e-6)) // what floating point adds is no second
	}
	return uint64(tokens), reset
}
