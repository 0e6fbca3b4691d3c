package lb

import (
	"math"
	"math/rand/v2"
)

// LeastRequest asks the least busy of some entries chosen at random. If weights are not
// equal it is a round robin in which each request that an entry has lowers its weight:
// weight / (active + 1)^Bias.
type LeastRequest struct {
	Choices int     // at least 1; Envoy's default is 2
	All     bool    // look at all entries instead
	Bias    float64 // not negative; Envoy's default is 1
}

func (LeastRequest) Hashes() bool { return false }

func (p LeastRequest) New(entries []Entry) Balancer {
	switch {
	case !equalWeights(entries):
		return newEDF(entries, func(i int) float64 {
			e := &entries[i]
			active := float64(max(e.Active.Load(), 0) + 1)
			if p.Bias != 1 {
				active = math.Pow(active, p.Bias)
			}
			return max(e.Weight/active, 1e-9) // Envoy takes any Bias
		})
	case p.All:
		return leastOfAll(entries)
	}
	return &leastOf{entries, p.Choices}
}

type leastOf struct {
	entries []Entry
	choices int
}

func (l *leastOf) Pick(uint64, int) int {
	n := len(l.entries)
	if n == 1 {
		return 0
	}
	best := rand.IntN(n)
	active := l.entries[best].Active.Load()
	for range l.choices - 1 {
		i := rand.IntN(n)
		if a := l.entries[i].Active.Load(); a < active {
			best, active = i, a
		}
	}
	return best
}

type leastOfAll []Entry

// Pick gives each of several that are equally idle the same chance.
func (l leastOfAll) Pick(uint64, int) int {
	best, active, ties := 0, l[0].Active.Load(), 1
	for i := 1; i < len(l); i++ {
		switch a := l[i].Active.Load(); {
		case a < active:
			best, active, ties = i, a, 1
		case a == active:
			if ties++; rand.IntN(ties) == 0 {
				best = i
			}
		}
	}
	return best
}
