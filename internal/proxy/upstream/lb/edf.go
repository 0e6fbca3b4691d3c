package lb

import (
	"math/rand/v2"
	"sync"
)

// edf asks the entry with the earliest deadline; its next is 1/weight later. So in any
// time of 1 each entry comes as often as its weight says, well mixed, and the weight
// may change with each choice. A lock is the price, which only unequal weights pay.
type edf struct {
	mu     sync.Mutex
	heap   []deadline
	weight func(i int) float64 // above 0
}

type deadline struct {
	at    float64
	index int
}

func newEDF(entries []Entry, weight func(i int) float64) *edf {
	e := &edf{heap: make([]deadline, len(entries)), weight: weight}
	for i := range entries {
		e.heap[i] = deadline{rand.Float64() / weight(i), i}
	}
	for i := len(e.heap)/2 - 1; i >= 0; i-- {
		e.sink(i)
	}
	return e
}

func (e *edf) Pick(uint64, int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := &e.heap[0]
	i := first.index
	first.at += 1 / e.weight(i)
	e.sink(0)
	return i
}

// sink moves the entry at i down to where it belongs.
func (e *edf) sink(i int) {
	h := e.heap
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if h[i].at <= h[c].at {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
