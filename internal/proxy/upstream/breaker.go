package upstream

import (
	"fmt"
	"sync/atomic"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Priority is one of two that requests may have. Each has bounds and connections of its own,
// so that requests of one do not stand in the way of the other's.
type Priority uint8

// The priorities, of which what is no request has the first.
const (
	Default Priority = iota
	High
	priorities
)

// PriorityOf is what configurations call one.
func PriorityOf(p corev3.RoutingPriority) (Priority, error) {
	switch p {
	case corev3.RoutingPriority_DEFAULT:
		return Default, nil
	case corev3.RoutingPriority_HIGH:
		return High, nil
	}
	return Default, fmt.Errorf("%s: %w", p, strict.ErrUnsupported)
}

// breaker is the circuit breaker of a priority: what may be under way at a time, and what is.
type breaker struct {
	maxRequests int64
	maxConns    int64
	maxPerHost  int64 // connections of a host, whichever priority they are for
	maxPending  int64
	maxRetries  int64
	budget      *retryBudget // of retries, in place of maxRetries; nil: none
	tracked     bool         // track_remaining
	bounded     bool         // there are thresholds

	active  atomic.Int64 // requests
	conns   atomic.Int64 // connections
	pending atomic.Int64 // requests that wait for one
	retries atomic.Int64 // requests that were sent before
}

// BeginRetry counts a request that is sent again; false if there are too many. EndRetry
// ends it.
func (c *Cluster) BeginRetry(of Priority) bool {
	b := &c.breakers[of]
	if n := b.retries.Add(1); n > b.retryBound() {
		b.retries.Add(-1)
		c.Counts.RqRetryOver.Inc()
		return false
	}
	return true
}

// EndRetry ends what BeginRetry has counted.
func (c *Cluster) EndRetry(of Priority) { c.breakers[of].retries.Add(-1) }

// retryBudget bounds retries by a part of the requests that are under way.
type retryBudget struct {
	percent float64
	least   int64 // may be sent again, however few requests there are
}

const (
	defaultBudget = 20
	defaultLeast  = 3
)

func (b *breaker) unbound() {
	b.maxRequests, b.maxConns, b.maxPerHost, b.maxPending, b.maxRetries = unbounded, unbounded, unbounded, unbounded, unbounded
}

// thresholds compiles what bounds a priority.
func (b *breaker) thresholds(t *clusterv3.CircuitBreakers_Thresholds) error {
	b.bounded, b.tracked = true, t.GetTrackRemaining()
	b.maxConns, b.maxRequests = bound(t.GetMaxConnections(), defaultBound), bound(t.GetMaxRequests(), defaultBound)
	b.maxPending, b.maxRetries = bound(t.GetMaxPendingRequests(), defaultBound), bound(t.GetMaxRetries(), defaultRetries)
	m := t.GetRetryBudget()
	if m == nil {
		return nil
	}
	b.budget = &retryBudget{defaultBudget, defaultLeast}
	if p := m.GetBudgetPercent(); p != nil {
		if b.budget.percent = p.GetValue(); !(b.budget.percent >= 0 && b.budget.percent <= 100) {
			return strict.Errorf("retry_budget.budget_percent.value", "must be from 0 to 100")
		}
	}
	if n := m.GetMinRetryConcurrency(); n != nil {
		b.budget.least = int64(n.GetValue())
	}
	return nil
}

// retryBound is how many requests may be sent again at a time.
func (b *breaker) retryBound() int64 {
	if r := b.budget; r != nil {
		return max(int64(r.percent/100*float64(b.active.Load()+b.pending.Load())), r.least)
	}
	return b.maxRetries
}

// breakerGauges gives the gauges of the circuit breakers: whether each is open, and how much
// remains until it is, if that is tracked.
func (c *Cluster) breakerGauges() []counters.Value {
	return append(c.breakers[Default].gauges(c.stat, "default"), c.breakers[High].gauges(c.stat, "high")...)
}

func (k *breaker) gauges(cluster, priority string) (all []counters.Value) {
	for _, b := range []struct {
		open, remains string
		used, most    int64
	}{
		{"cx_open", "remaining_cx", k.conns.Load(), k.maxConns},
		{"rq_pending_open", "remaining_pending", k.pending.Load(), k.maxPending},
		{"rq_open", "remaining_rq", k.active.Load(), k.maxRequests},
		{"rq_retry_open", "remaining_retries", k.retries.Load(), k.retryBound()},
	} {
		left := max(min(b.most, 1<<32-1)-b.used, 0)
		add := func(name string, v int64) {
			all = append(all, counters.Value{Name: counters.Name{Scope: counters.Cluster, Of: cluster, Name: "circuit_breakers." + priority + "." + name, Gauge: true}, Value: uint64(v)})
		}
		open := int64(0)
		moves := k.budget != nil && b.open == "rq_retry_open" // its bound does: neither is told, as in Envoy
		if left == 0 && !moves {
			open = 1
		}
		add(b.open, open)
		if k.tracked && !moves {
			add(b.remains, left)
		}
	}
	return all
}

// beginPending counts a request that waits for a connection, its total only the first time.
func (h *Host) beginPending(of Priority, first bool) error {
	c, b := h.cluster, h.breaker(of)
	if n := b.pending.Add(1); n > b.maxPending {
		b.pending.Add(-1)
		c.Counts.RqOverflow.Inc()
		return ErrOverflow
	}
	if first {
		c.Counts.RqPending.Inc()
	}
	h.Counts.RqPending.Add(1)
	return nil
}

func (h *Host) endPending(of Priority) {
	h.breaker(of).pending.Add(-1)
	h.Counts.RqPending.Add(-1)
}

// breaker is the circuit breaker that a request to the host counts for.
func (h *Host) breaker(of Priority) *breaker { return &h.cluster.breakers[of] }

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
