package jwtauthn

import "sync/atomic"

// Stats are Envoy's counters of the filter.
type Stats struct {
	Allowed, Denied       atomic.Uint64
	CORSPreflightBypassed atomic.Uint64
	JWKSFetchFailed       atomic.Uint64 // verifications that found no remote keys
	CacheHit, CacheMiss   atomic.Uint64
}

// Stats gives the filter's counters, which go on counting.
func (f *Filter) Stats() *Stats { return &f.stats }
