package upstream

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// checker is a cluster's health check: it asks each endpoint by itself, and takes those
// out that do not answer well. What it decides is guarded by the cluster's lock.
type checker struct {
	c *Cluster
	// via makes the connections of checks: they have no part in the cluster's.
	via   *Cluster
	probe probe

	timeout, initialJitter          time.Duration
	interval, unhealthy             time.Duration
	healthyEdge, unhealthyEdge      time.Duration
	idle, idleHealthy               time.Duration // while the cluster has never had a connection
	jitter                          time.Duration
	jitterPercent                   uint32
	healthyThreshold, failThreshold uint32
	reuse                           bool

	counts   checks
	sessions map[*Host]*session
	pending  int // sessions whose first check is under way
}

// checks are the counters of health_check.
type checks struct {
	attempt, success, failure, network, passive, verify *atomic.Int64
	healthy, degraded                                   *atomic.Int64
}

// probe is one kind of check. It ends with ctx.
type probe interface {
	check(ctx context.Context, s *session) finding
}

// finding is how a check has ended.
type finding struct {
	as       result
	excludes bool // x-envoy-immediate-health-check-fail
}

type result uint8

const (
	passed result = iota
	passedDegraded
	failedNow       // whatever the threshold
	failedRetriable // the threshold is for such
	failedNetwork
	failedTimeout
	failedPassive // an answer to a request said so
)

// session is the checks of one host.
type session struct {
	k    *checker
	host *Host
	via  *Host    // to where the checks go
	nc   net.Conn // kept by the probe from check to check, if it is of TCP
	ctx  context.Context
	end  context.CancelFunc

	timer          *time.Timer
	good, bad      uint32 // in a row
	first, stopped bool
	running        bool
}

// join begins the checks of a host. The lock is held.
func (k *checker) join(h *Host) {
	if h.key.unchecked || k.sessions[h] != nil {
		return
	}
	s := &session{k: k, host: h, first: true}
	s.ctx, s.end = context.WithCancel(context.Background())
	key := h.key
	if key.check.IsValid() {
		key.addr = key.check
	}
	s.via = k.via.host(key)
	h.session = s
	k.sessions[h] = s
	k.pending++
	d := time.Duration(0)
	if k.initialJitter > 0 {
		d = k.jittered(0, k.initialJitter)
	}
	s.timer = time.AfterFunc(d, s.run)
}

// leave ends the checks of a host. The lock is held.
func (k *checker) leave(h *Host) {
	s := k.sessions[h]
	if s == nil {
		return
	}
	delete(k.sessions, h)
	s.stopped = true
	s.timer.Stop()
	s.end()
	if !s.running {
		s.drop()
	}
	s.via.drain()
	if !h.flags.has(failedActive) {
		k.counts.healthy.Add(-1)
	}
	if h.flags.has(degradedActive) {
		k.counts.degraded.Add(-1)
	}
	s.began()
}

// began notes that the first check is over. The lock is held.
func (s *session) began() {
	if !s.first {
		return
	}
	s.first = false
	if s.k.pending--; s.k.pending == 0 && s.k.c.opts.Warmed != nil && !s.k.c.closed {
		go s.k.c.opts.Warmed()
	}
}

// Warm tells whether the cluster waits for no first check of an endpoint.
func (c *Cluster) Warm() bool {
	if c.checker == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checker.pending == 0 && (c.names == nil || c.names.isResolved())
}

// run makes one check, and the next after a while.
func (s *session) run() {
	k := s.k
	k.c.mu.Lock()
	s.running = !s.stopped
	k.c.mu.Unlock()
	if !s.running {
		return
	}
	k.counts.attempt.Add(1)
	ctx, cancel := context.WithTimeout(s.ctx, k.timeout)
	f := k.probe.check(ctx, s)
	cancel()
	if !k.reuse {
		s.via.closeIdle()
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	s.running = false
	if s.stopped {
		s.drop()
		return
	}
	pending := s.judge(f)
	if !s.stopped { // it may have been all that kept the host
		s.timer.Reset(k.next(f.as <= passedDegraded, pending))
	}
}

// judge takes a finding in, and tells whether a change awaits more of the same. The lock
// is held.
func (s *session) judge(f finding) (pending bool) {
	k, h := s.k, s.host
	if f.excludes {
		h.flags.set(excluded)
	}
	var changed bool
	if f.as <= passedDegraded {
		changed, pending = s.pass(f.as == passedDegraded)
	} else {
		changed, pending = s.fail(f.as)
	}
	if h.flags.has(pendingActive) {
		h.flags.clear(pendingActive)
		changed = true
	}
	s.began()
	if f.as <= passedDegraded {
		if d := k.c.outlier; d != nil && d.unejects && h.flags.has(failedOutlier) && !h.flags.has(failedActive) {
			d.uneject(h.monitor, k.c.opts.Now())
			changed = true
		}
	}
	switch {
	case h.flags.has(pendingRemoval) && h.flags.has(failedActive):
		k.c.remove(h)
	case changed:
		if h.flags.has(failedActive) {
			h.closeIdle()
		}
		k.c.rearrange()
	}
	return pending
}

func (s *session) pass(degraded bool) (changed, pending bool) {
	k, h := s.k, s.host
	s.bad = 0
	if h.flags.has(failedActive) {
		if s.good++; s.first || s.good == k.healthyThreshold {
			h.flags.clear(failedActive | excluded | timedOutActive)
			k.counts.healthy.Add(1)
			changed = true
		} else {
			pending = true
		}
	}
	if degraded != h.flags.has(degradedActive) {
		if degraded {
			h.flags.set(degradedActive)
			k.counts.degraded.Add(1)
		} else {
			h.flags.clear(degradedActive)
			k.counts.degraded.Add(-1)
		}
		changed = true
	}
	k.counts.success.Add(1)
	return changed, pending && !changed
}

func (s *session) fail(as result) (changed, pending bool) {
	k, h := s.k, s.host
	s.good = 0
	network := as == failedNetwork || as == failedTimeout
	if !h.flags.has(failedActive) {
		count := network || as == failedRetriable
		if count {
			s.bad++
		}
		if !count || s.bad == k.failThreshold {
			h.flags.set(failedActive)
			k.counts.healthy.Add(-1)
			changed = true
		} else {
			pending = true
		}
	}
	if as == failedTimeout && h.flags.has(failedActive) {
		h.flags.set(timedOutActive)
	} else {
		h.flags.clear(timedOutActive)
	}
	k.counts.failure.Add(1)
	switch {
	case network:
		k.counts.network.Add(1)
	case as == failedPassive:
		k.counts.passive.Add(1)
	}
	return changed, pending
}

// FailHealth hears that an answer told that the host is not to be asked any more, for its
// checker to find out when it is again (x-envoy-immediate-health-check-fail).
func (h *Host) FailHealth() {
	if h.session == nil {
		return
	}
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if !h.gone && !c.closed {
		h.session.judge(finding{failedPassive, true})
	}
}

// next is how long until the next check.
func (k *checker) next(good, pending bool) time.Duration {
	var d time.Duration
	switch {
	case !k.c.used.Load():
		d = k.idle
		if good && !pending {
			d = k.idleHealthy
		}
	case good && pending:
		d = k.healthyEdge
	case good:
		d = k.interval
	case pending:
		d = k.unhealthyEdge
	default:
		d = k.unhealthy
	}
	return k.jittered(d, k.jitter)
}

func (k *checker) jittered(d, jitter time.Duration) time.Duration {
	if most := time.Duration(float64(d) * float64(k.jitterPercent) / 100); most > 0 {
		d += rand.N(min(most, maxDuration))
	}
	if jitter > 0 {
		d += rand.N(jitter)
	}
	return max(d, time.Millisecond)
}

// close ends all checks. The lock is held.
func (k *checker) close() {
	for h := range k.sessions {
		k.leave(h)
	}
}
