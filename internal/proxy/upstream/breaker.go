package upstream

import (
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// The circuit breakers that count requests on their way. Those of
// connections and of requests in flight are where these begin and end.

// BeginRetry counts a request that is sent again; false if there are too many. EndRetry
// ends it.
func (c *Cluster) BeginRetry() bool {
	if n := c.retries.Add(1); n > c.retryBound() {
		c.retries.Add(-1)
		c.Counts.RqRetryOver.Inc()
		return false
	}
	return true
}

// retryBudget bounds retries by a part of the requests that are under way.
type retryBudget struct {
	percent float64
	least   int64 // may be sent again, however few requests there are
}

const (
	defaultBudget = 20
	defaultLeast  = 3
)

// retryBound is how many requests may be sent again at a time.
func (c *Cluster) retryBound() int64 {
	if b := c.budget; b != nil {
		return max(int64(b.percent/100*float64(c.active.Load()+c.pending.Load())), b.least)
	}
	return c.maxRetries
}

// breakerGauges gives the gauges of the circuit breakers: whether each is open, and how much
// remains until it is, if that is tracked.
func (c *Cluster) breakerGauges() (all []counters.Value) {
	for _, b := range []struct {
		open, remains string
		used, most    int64
	}{
		{"cx_open", "remaining_cx", c.conns.Load(), c.maxConns},
		{"rq_pending_open", "remaining_pending", c.pending.Load(), c.maxPending},
		{"rq_open", "remaining_rq", c.active.Load(), c.maxRequests},
		{"rq_retry_open", "remaining_retries", c.retries.Load(), c.retryBound()},
	} {
		left := max(min(b.most, 1<<32-1)-b.used, 0)
		add := func(name string, v int64) {
			all = append(all, counters.Value{Name: counters.Name{Scope: counters.Cluster, Of: c.stat, Name: "circuit_breakers.default." + name, Gauge: true}, Value: uint64(v)})
		}
		open := int64(0)
		moves := c.budget != nil && b.open == "rq_retry_open" // its bound does: neither is told, as in Envoy
		if left == 0 && !moves {
			open = 1
		}
		add(b.open, open)
		if c.tracked && !moves {
			add(b.remains, left)
		}
	}
	return all
}

// EndRetry ends what BeginRetry has counted.
func (c *Cluster) EndRetry() { c.retries.Add(-1) }

// beginPending counts a request that waits for a connection, its total only the first time.
func (h *Host) beginPending(first bool) error {
	c := h.cluster
	if n := c.pending.Add(1); n > c.maxPending {
		c.pending.Add(-1)
		c.Counts.RqOverflow.Inc()
		return ErrOverflow
	}
	if first {
		c.Counts.RqPending.Inc()
	}
	h.Counts.RqPending.Add(1)
	return nil
}

func (h *Host) endPending() {
	h.cluster.pending.Add(-1)
	h.Counts.RqPending.Add(-1)
}

// unbounded stands for the bounds of a cluster without any.
const unbounded = 1 << 62

// What thresholds leave out, as Envoy has it.
const (
	defaultBound   = 1024
	defaultRetries = 3
)

func bound(v *wrapperspb.UInt32Value, otherwise int64) int64 {
	if v == nil {
		return otherwise
	}
	return int64(v.GetValue())
}
