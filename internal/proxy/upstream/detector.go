package upstream

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// cause is why a host is an outlier.
type cause uint8

const (
	consecutive5xx cause = iota
	gatewayFailure
	localFailure
	successRate
	localSuccessRate
	failurePercentage
	localFailurePercentage
	causes
)

// names are those of Envoy's counters.
var causeNames = [causes]string{
	"consecutive_5xx", "consecutive_gateway_failure", "consecutive_local_origin_failure",
	"success_rate", "local_origin_success_rate", "failure_percentage", "local_origin_failure_percentage",
}

// detector is a cluster's outlier_detection: it ejects hosts that fail more than others.
// What it decides is guarded by the cluster's lock.
type detector struct {
	c *Cluster

	errors, gateway, local uint32 // in a row; 0: never
	enforcing              [causes]uint32
	interval, base, most   time.Duration
	jitter                 time.Duration
	maxPercent             uint32
	alwaysOne              bool
	split                  bool // failures of our own count apart
	degrades               bool
	unejects               bool // a good active health check ends an ejection
	minHosts, minVolume    uint32
	deviations             float64
	failures               uint32 // in percent
	failMinHosts           uint32
	failMinVolume          uint32

	active   int64 // hosts that are ejected
	external threshold
	internal threshold
	timer    *time.Timer
	counts   detections
}

// threshold is what the last sweep has compared success rates with, in percent; -1: there
// was nothing to compare.
type threshold struct{ average, ejects float64 }

// detections are the counters of outlier_detection.
type detections struct {
	active, overflow, enforcedTotal, degradation *atomic.Int64
	detected, enforced                           [causes]*atomic.Int64
	// Old names that Envoy counts on.
	total, errors, rate *atomic.Int64
}

// consecutive hears that a host has failed often enough in a row.
func (d *detector) consecutive(m *monitor, why cause) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if m.host.gone || d.c.closed || m.host.flags.has(failedOutlier) {
		return
	}
	d.counts.detected[why].Add(1)
	if d.eject(m, why) {
		d.c.rearrange()
	}
	switch why {
	case consecutive5xx:
		d.counts.errors.Add(1)
		m.errors.Store(0)
	case gatewayFailure:
		m.gateway.Store(0)
	default:
		m.local.Store(0)
	}
}

// eject puts a host out unless too many are, or chance spares it. The lock is held.
func (d *detector) eject(m *monitor, why cause) bool {
	hosts := len(d.c.distinct())
	if hosts == 0 {
		return false
	}
	if part := 100 * float64(d.active+1) / float64(hosts); part > float64(d.maxPercent) && !(d.alwaysOne && d.active == 0) {
		d.counts.overflow.Add(1)
		return false
	}
	if why == consecutive5xx || why == successRate {
		d.counts.total.Add(1)
	}
	if rand.Uint32N(100) >= d.enforcing[why] || m.host.flags.has(failedOutlier) {
		return false
	}
	d.active++
	d.counts.active.Add(1)
	d.counts.enforcedTotal.Add(1)
	d.counts.enforced[why].Add(1)
	m.host.flags.set(failedOutlier)
	d.begin(&m.ejection)
	return true
}

// degrade hears that a host calls itself degraded.
func (d *detector) degrade(m *monitor) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if m.host.gone || d.c.closed || m.host.flags.has(degradedOutlier) {
		return
	}
	d.counts.degradation.Add(1)
	m.host.flags.set(degradedOutlier)
	d.begin(&m.degradation)
	d.c.rearrange()
}

// begin starts a spell.
func (d *detector) begin(s *spell) {
	s.since = d.c.opts.Now()
	s.jitter = 0
	if d.jitter > 0 {
		s.jitter = rand.N(d.jitter + time.Millisecond).Truncate(time.Millisecond)
	}
	if time.Duration(s.times)*d.base < d.most+d.base {
		s.times++
	}
}

// over tells whether a spell has lasted for long enough.
func (d *detector) over(s *spell, now time.Time) bool {
	return now.Sub(s.since) >= min(time.Duration(s.times)*d.base, d.most)+s.jitter
}

// rest makes the next spell shorter, since none was needed for an interval.
func (d *detector) rest(s *spell, now time.Time) {
	if s.everOver && now.Sub(s.endedAt) >= d.interval && s.times > 0 {
		s.times--
	}
}

// uneject takes a host back. The lock is held.
func (d *detector) uneject(m *monitor, now time.Time) {
	d.active--
	d.counts.active.Add(-1)
	m.host.flags.clear(failedOutlier)
	m.errors.Store(0)
	m.gateway.Store(0)
	m.local.Store(0)
	m.ejection.endedAt, m.ejection.everOver = now, true
}

// leave forgets a host that is gone. The lock is held.
func (d *detector) leave(h *Host) {
	if h.flags.has(failedOutlier) {
		d.active--
		d.counts.active.Add(-1)
	}
}

// start begins the sweeps; close ends them. Both have the lock held.
func (d *detector) start() { d.timer = time.AfterFunc(d.interval, d.sweep) }

func (d *detector) close() {
	if d.timer != nil { // nil: the cluster was refused before
		d.timer.Stop()
	}
	d.counts.active.Add(-d.active)
	d.active = 0
}

// sweep takes hosts back whose time is over, and looks for those that fail more than
// others have in the last interval.
func (d *detector) sweep() {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if d.c.closed {
		return
	}
	d.judge(d.c.opts.Now())
	d.timer.Reset(d.interval)
}

func (d *detector) judge(now time.Time) {
	hosts := d.c.distinct()
	changed := false
	for _, h := range hosts {
		m := h.monitor
		if h.flags.has(failedOutlier) && d.over(&m.ejection, now) {
			d.uneject(m, now)
			changed = true
		}
		if h.flags.has(degradedOutlier) && d.over(&m.degradation, now) {
			h.flags.clear(degradedOutlier)
			m.degradation.endedAt, m.degradation.everOver = now, true
			changed = true
		}
		m.answers.turn()
		m.connects.turn()
	}
	changed = d.compare(hosts, false) || changed
	changed = d.compare(hosts, true) || changed
	for _, h := range hosts {
		if !h.flags.has(failedOutlier) {
			d.rest(&h.monitor.ejection, now)
		}
		if !h.flags.has(degradedOutlier) {
			d.rest(&h.monitor.degradation, now)
		}
	}
	if changed {
		d.c.rearrange()
	}
}

// compare ejects by the rates of answers, or of connections (local).
func (d *detector) compare(hosts []*Host, local bool) (changed bool) {
	shown, bySuccess, byFailure := &d.external, successRate, failurePercentage
	if local {
		shown, bySuccess, byFailure = &d.internal, localSuccessRate, localFailurePercentage
	}
	*shown = threshold{-1, -1}
	if n := uint32(len(hosts)); n < d.minHosts && n < d.failMinHosts {
		return false
	}
	type rated struct {
		m       *monitor
		percent float64
	}
	var success, failure []rated
	for _, h := range hosts {
		r := &h.monitor.answers
		if local {
			r = &h.monitor.connects
		}
		if h.flags.has(failedOutlier) || r.lastAll == 0 {
			continue
		}
		percent := float64(r.lastGood) * 100 / float64(r.lastAll)
		if r.lastAll >= uint64(min(d.minVolume, d.failMinVolume)) {
			r.shown = percent
		}
		if r.lastAll >= uint64(d.minVolume) {
			success = append(success, rated{h.monitor, percent})
		}
		if r.lastAll >= uint64(d.failMinVolume) {
			failure = append(failure, rated{h.monitor, percent})
		}
	}
	if n := uint32(len(success)); n > 0 && n >= d.minHosts {
		sum, variance := 0.0, 0.0
		for _, r := range success {
			sum += r.percent
		}
		shown.average = sum / float64(n)
		for _, r := range success {
			variance += (r.percent - shown.average) * (r.percent - shown.average)
		}
		shown.ejects = shown.average - d.deviations*math.Sqrt(variance/float64(n))
		for _, r := range success {
			if r.percent < shown.ejects {
				d.counts.rate.Add(1)
				d.counts.detected[bySuccess].Add(1)
				changed = d.eject(r.m, bySuccess) || changed
			}
		}
	}
	if n := uint32(len(failure)); n > 0 && n >= d.failMinHosts {
		for _, r := range failure {
			if 100-r.percent >= float64(d.failures) {
				d.counts.detected[byFailure].Add(1)
				changed = d.eject(r.m, byFailure) || changed
			}
		}
	}
	return changed
}
