package metrics

import (
	"math"
	"strconv"
	"sync/atomic"
)

// Bounds of Istio's histograms.
var (
	milliseconds = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}
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

func (h *histogram) write(t *textWriter, name string, labels []label) {
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
		le := "+Inf"
		if i < len(h.bounds) {
			le = strconv.FormatFloat(h.bounds[i], 'f', -1, 64)
		}
		t.sample(name+"_bucket", labels, float64(n), label{"le", le})
	}
	t.sample(name+"_sum", labels, math.Float64frombits(h.sum.Load()))
	t.sample(name+"_count", labels, float64(n))
}
