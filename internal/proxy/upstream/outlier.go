package upstream

import (
	"sync/atomic"
	"time"
)

// What befalls the requests to a host is told to its monitor, if the cluster has
// outlier_detection. What goes well costs some atomics.

// Connected tells that there is a connection for a request.
func (h *Host) Connected() {
	if m := h.monitor; m != nil && m.d.split {
		m.localSuccess()
	}
}

// Established tells that there is a connection, where no protocol follows that would
// tell more.
func (h *Host) Established() {
	switch m := h.monitor; {
	case m == nil:
	case m.d.split:
		m.localSuccess()
	default:
		m.answered(200)
	}
}

// Failed tells that no connection could be had, or that one broke before the answer's end.
func (h *Host) Failed() { h.local(503) }

// TimedOut tells that no answer, or no connection, came in time.
func (h *Host) TimedOut() { h.local(504) }

func (h *Host) local(status int) {
	switch m := h.monitor; {
	case m == nil:
	case m.d.split:
		m.localFailure()
	default:
		m.answered(status)
	}
}

// Answered tells the status of an answer, which is that of gRPC's if its head has one,
// and whether it calls the host degraded (x-envoy-degraded).
func (h *Host) Answered(status int, degraded bool) {
	if m := h.monitor; m != nil {
		m.answered(status)
		if degraded && m.d.degrades && !h.flags.has(degradedOutlier) {
			m.d.degrade(m)
		}
	}
}

// Monitored tells whether anybody cares for what befalls the host's requests.
func (h *Host) Monitored() bool { return h.monitor != nil || h.session != nil }

// monitor is what outlier detection knows of a host.
type monitor struct {
	d    *detector
	host *Host

	errors, gateway, local atomic.Uint32 // in a row
	answers, connects      rate

	// The rest is guarded by the cluster's lock.
	ejection, degradation spell
}

// rate counts successes among all, from one sweep to the next.
type rate struct {
	good, all         atomic.Uint64
	lastGood, lastAll uint64  // of the interval before
	shown             float64 // in percent; -1: there were too few
}

// spell is a time that a host is out for. Each is longer than the one before.
type spell struct {
	times    int64 // how often, less what good times have taken off
	since    time.Time
	jitter   time.Duration
	endedAt  time.Time
	everOver bool
}

func (r *rate) count(good bool) {
	r.all.Add(1)
	if good {
		r.good.Add(1)
	}
}

// turn begins another interval.
func (r *rate) turn() {
	r.lastAll, r.lastGood = r.all.Swap(0), r.good.Swap(0)
	r.lastGood = min(r.lastGood, r.lastAll) // whoever counts does it in two steps
	r.shown = -1
}

func (m *monitor) answered(status int) {
	m.answers.count(status < 500)
	if status < 500 {
		reset(&m.errors)
		reset(&m.gateway)
		return
	}
	if status >= 502 && status <= 504 {
		if m.gateway.Add(1) == m.d.gateway {
			m.d.consecutive(m, gatewayFailure)
		}
	} else {
		reset(&m.gateway)
	}
	if m.errors.Add(1) == m.d.errors {
		m.d.consecutive(m, consecutive5xx)
	}
}

func (m *monitor) localSuccess() {
	m.connects.count(true)
	reset(&m.local)
}

func (m *monitor) localFailure() {
	m.connects.count(false)
	if m.local.Add(1) == m.d.local {
		m.d.consecutive(m, localFailure)
	}
}

// reset writes only where it is needed: writing is dear where many processors count.
func reset(n *atomic.Uint32) {
	if n.Load() != 0 {
		n.Store(0)
	}
}
