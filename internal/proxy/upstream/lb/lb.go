package lb

import "sync/atomic"

// Entry is an endpoint as a policy sees it.
type Entry struct {
	// Weight is above 0 and means something beside the others' only.
	Weight float64
	// Key stands for the endpoint where it is hashed.
	Key string
	// Active counts the requests that the endpoint has now.
	Active *atomic.Int64
}

// Balancer chooses among the entries that it was made of. It is safe for concurrent
// use, and a choice allocates nothing.
type Balancer interface {
	// Pick gives the index of an entry. Hash is what the request is kept to one
	// endpoint by; attempt counts the choices for it that were not wanted, from 0.
	Pick(hash uint64, attempt int) int
}

// Policy makes balancers.
type Policy interface {
	// New makes a balancer of at least one entry.
	New(entries []Entry) Balancer
	// Hashes tells whether the balancers look at hash and Entry.Key. If so, they
	// expect the weights to add up to 1.
	Hashes() bool
}

func equalWeights(entries []Entry) bool {
	for _, e := range entries[1:] {
		if e.Weight != entries[0].Weight {
			return false
		}
	}
	return true
}
