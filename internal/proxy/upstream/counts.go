package upstream

import "sync/atomic"

// Counts is what happened to a cluster, by Envoy's names.
type Counts struct {
	Panic atomic.Int64 // lb_healthy_panic
}
