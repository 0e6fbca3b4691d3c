package xds

import (
	"math/rand/v2"
	"time"
)

// Pauses are what is waited between two streams: longer each time, partly by chance, so that
// those who have lost a server do not come back together.
type Pauses struct{ Least, Most time.Duration }

// Of the mesh's own control plane, and of servers outside of ADS, which wait as long as Envoy.
var (
	adsPauses    = Pauses{50 * time.Millisecond, 5 * time.Second}
	serverPauses = Pauses{500 * time.Millisecond, 30 * time.Second}
)

// after gives the pause that comes after another, and how much of it is waited. Only a stream
// that has lasted begins anew: a server that answers and resets is no better than none.
func (p Pauses) after(pause time.Duration, lasted bool) (next, wait time.Duration) {
	if lasted {
		pause = 0
	}
	next = min(max(p.Least, 2*pause), p.Most)
	return next, next/2 + rand.N(next/2)
}
