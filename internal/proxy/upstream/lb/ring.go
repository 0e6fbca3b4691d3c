package lb

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// MaxRing is the largest size of a ring.
const MaxRing = 8 << 20

// Ring is Envoy's RING_HASH (ketama): each entry stands at many points of a ring, and a
// request goes to the next one from its hash on.
type Ring struct {
	Min, Max uint64 // points, at most MaxRing; Min is not above Max, and Max not 0
	Murmur   bool   // MurmurHash2 of 64 bits instead of xxHash64
}

func (Ring) Hashes() bool { return true }

func (p Ring) New(entries []Entry) Balancer {
	least := 1.0
	for _, e := range entries {
		least = min(least, e.Weight)
	}
	// The lightest entry has a whole number of points.
	scale := min(math.Ceil(least*float64(p.Min))/least, float64(p.Max))
	r := make(ring, 0, int(math.Ceil(scale)))
	var key []byte
	have, want := 0.0, 0.0
	for i, e := range entries {
		want += scale * e.Weight
		key = append(append(key[:0], e.Key...), '_')
		stem := len(key)
		for n := uint64(0); have < want; n++ {
			key = strconv.AppendUint(key[:stem], n, 10)
			at := uint64(0)
			if p.Murmur {
				at = murmur2(key, stdSeed)
			} else {
				at = xxhash.Sum64(key)
			}
			r = append(r, point{at, i})
			have++
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return r
}

type point struct {
	at    uint64
	index int
}

type ring []point

func (r ring) Pick(hash uint64, attempt int) int {
	i := sort.Search(len(r), func(i int) bool { return r[i].at >= hash })
	return r[(i+attempt)%len(r)].index
}
