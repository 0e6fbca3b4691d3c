package upstream

import "google.golang.org/protobuf/types/known/wrapperspb"

// The circuit breakers that count requests on their way. Those of
// connections and of requests in flight are where these begin and end.

// BeginRetry counts a request that is sent again; false if there are too many. EndRetry
// ends it.
func (c *Cluster) BeginRetry() bool {
	if n := c.retries.Add(1); n > c.maxRetries {
		c.retries.Add(-1)
		c.Counts.RqRetryOver.Inc()
		return false
	}
	return true
}

// EndRetry ends what BeginRetry has counted.
func (c *Cluster) EndRetry() { c.retries.Add(-1) }

// beginPending counts a request that waits for a connection.
func (h *Host) beginPending() error {
	c := h.cluster
	if n := c.pending.Add(1); n > c.maxPending {
		c.pending.Add(-1)
		c.Counts.RqOverflow.Inc()
		return ErrOverflow
	}
	c.Counts.RqPending.Inc()
	h.Counts.RqPending.Add(1)
	return nil
}

func (h *Host) endPending() {
	h.cluster.pending.Add(-1)
	h.Counts.RqPending.Add(-1)
}

// unbounded stands for a bound that is not set.
const unbounded = 1 << 62

func bound(v *wrapperspb.UInt32Value) int64 {
	if v == nil {
		return unbounded
	}
	return int64(v.GetValue())
}
