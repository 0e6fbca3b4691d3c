package metrics

import (
	"math"
	"sync/atomic"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// Bounds of Istio's histograms.
var (
	milliseconds = counters.Bounds
	byteSizes    = []float64{1, 8, 64, 512, 4096, 32768, 262144, 2097152, 16777216, 134217728, 1073741824}
)

// histogram counts values by bucket.
type histogram struct {
	bounds  []float64
	buckets []atomic.Uint64 // one more than bounds
	sum     atomic.Uint64   // bits of a float64
}

func newHistogram(bounds []float64) *histogram {
	return &histogram{bounds: bounds, buckets: make([]atomic.Uint64, len(bounds)+1)}
}

func (h *histogram) observe(v float64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// now gives the buckets as they stand.
func (h *histogram) now() *buckets {
	b := &buckets{bounds: h.bounds, counts: make([]uint64, len(h.buckets)), sum: math.Float64frombits(h.sum.Load())}
	for i := range h.buckets {
		b.counts[i] = h.buckets[i].Load()
	}
	return b
}

// buckets are a histogram as it stands.
type buckets struct {
	bounds []float64
	counts []uint64 // one more than bounds
	sum    float64
}

func (b *buckets) count() (n uint64) {
	for _, c := range b.counts {
		n += c
	}
	return n
}

// quantiles are those that Envoy shows, in percent.
var quantiles = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// quantile estimates a quantile, given in percent, as if a bucket's values were spread
// evenly; NaN if there are none.
func (b *buckets) quantile(q float64) float64 {
	n := float64(b.count())
	if n == 0 {
		return math.NaN()
	}
	want, low, seen := q/100*n, 0.0, 0.0
	for i, c := range b.counts {
		if i == len(b.bounds) {
			break // all that is known of these is that they are above
		}
		if c > 0 && seen+float64(c) >= want {
			return low + (b.bounds[i]-low)*max(0, want-seen)/float64(c)
		}
		seen += float64(c)
		low = b.bounds[i]
	}
	return low
}
