package lb

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Sizes of Maglev's table.
const (
	DefaultTable = 65537
	MaxTable     = 5000011
)

// Maglev is Envoy's MAGLEV: a table, filled by the entries in turn each in an order of
// its own, in which a request's hash is looked up.
type Maglev struct {
	Size uint64 // of the table: a prime, at most MaxTable
}

func (Maglev) Hashes() bool { return true }

func (p Maglev) New(entries []Entry) Balancer {
	type filler struct {
		index              int
		offset, skip, next uint64
		target             float64
	}
	heaviest := 0.0
	fill := make([]filler, len(entries))
	for i, e := range entries {
		heaviest = max(heaviest, e.Weight)
		fill[i] = filler{index: i, offset: xxhash.Sum64String(e.Key) % p.Size, skip: seeded(e.Key)%(p.Size-1) + 1}
	}
	// The order of the assignment must not matter.
	slices.SortStableFunc(fill, func(a, b filler) int { return strings.Compare(entries[a.index].Key, entries[b.index].Key) })
	t := make(table, p.Size)
	for left, round := p.Size, 1.0; left > 0; round++ {
		for i := 0; i < len(fill) && left > 0; i++ {
			f := &fill[i]
			// The heaviest entry gets a slot each round, one of half its weight every other.
			if round*entries[f.index].Weight < f.target {
				continue
			}
			f.target += heaviest
			for {
				slot := &t[(f.offset+f.skip*f.next)%p.Size]
				f.next++
				if *slot == 0 {
					*slot = uint32(f.index) + 1
					break
				}
			}
			left--
		}
	}
	return t
}

// seeded is xxHash64 with seed 1.
func seeded(key string) uint64 {
	d := xxhash.NewWithSeed(1)
	_, _ = d.WriteString(key) // never fails
	return d.Sum64()
}

// table holds indices, one higher than they are.
type table []uint32

func (t table) Pick(hash uint64, attempt int) int {
	if attempt > 0 {
		hash ^= -uint64(attempt)
	}
	return int(t[hash%uint64(len(t))]) - 1
}
