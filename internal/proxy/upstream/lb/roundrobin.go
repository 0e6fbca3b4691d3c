package lb

import (
	"math/rand/v2"
	"sync/atomic"
)

// RoundRobin asks the entries in turn, as often as their weights say. Where the turn
// begins is left to chance, or many proxies would all begin with the same endpoint.
type RoundRobin struct{}

func (RoundRobin) Hashes() bool { return false }

func (RoundRobin) New(entries []Entry) Balancer {
	if !equalWeights(entries) {
		return newEDF(entries, func(i int) float64 { return entries[i].Weight })
	}
	t := &turns{n: uint64(len(entries))}
	t.next.Store(rand.Uint64N(t.n))
	return t
}

type turns struct {
	next atomic.Uint64
	n    uint64
}

func (t *turns) Pick(uint64, int) int { return int(t.next.Add(1) % t.n) }
