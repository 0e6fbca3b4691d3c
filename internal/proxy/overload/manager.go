package overload

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// Manager refreshes a State.
type Manager struct {
	state     State
	interval  time.Duration
	resources []*resource
	actions   []*action
	shrink    shrink
	log       *slog.Logger
}

// resource is something that can be short.
type resource struct {
	name     string
	pressure func() (float64, error) // 1: nothing is left
	last     atomic.Uint64           // of it, as float64
	failures atomic.Uint64
}

func (r *resource) value() float64 { return math.Float64frombits(r.last.Load()) }

// action is what is done, to a degree between 0 and 1: the most that a trigger asks for.
type action struct {
	name     string
	kind     string // of action: several can do the same
	triggers []trigger
	last     atomic.Uint64
}

func (a *action) value() float64 { return math.Float64frombits(a.last.Load()) }

// trigger is what a resource's pressure asks for: nothing below from, all from to on.
type trigger struct {
	of       *resource
	from, to float64
}

func (t *trigger) degree() float64 {
	p := t.of.value()
	switch {
	case p >= t.to:
		return 1
	case p <= t.from:
		return 0
	}
	return (p - t.from) / (t.to - t.from)
}

// State is what is to be refused.
func (m *Manager) State() *State { return &m.state }

// Run refreshes the state until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	if len(m.resources) == 0 || len(m.actions) == 0 {
		return
	}
	tick := time.NewTicker(m.interval)
	defer tick.Stop()
	for {
		m.refresh(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// refresh looks at all resources. One that cannot be read stays as it was.
func (m *Manager) refresh(now time.Time) {
	for _, r := range m.resources {
		p, err := r.pressure()
		if err != nil {
			if r.failures.Add(1) == 1 {
				m.log.Warn("a resource cannot be measured", "resource", r.name, "error", err)
			}
			continue
		}
		r.last.Store(math.Float64bits(p))
	}
	spared := map[string]float64{} // by kind: the share that no action of the kind asks for
	for _, a := range m.actions {
		d := 0.0
		for i := range a.triggers {
			d = max(d, a.triggers[i].degree())
		}
		if was := a.value(); (was > 0) != (d > 0) || (was == 1) != (d == 1) {
			m.log.Warn("overload", "action", a.name, "degree", d)
		}
		a.last.Store(math.Float64bits(d))
		left, ok := spared[a.kind]
		if !ok {
			left = 1
		}
		spared[a.kind] = left * (1 - d)
	}
	for kind, left := range spared {
		switch kind {
		case stopRequests:
			m.state.Requests.set(1 - left)
		case noKeepAlive:
			m.state.KeepAlive.set(1 - left)
		case rejectConnections:
			m.state.Connections.set(1 - left)
		case stopConnections:
			m.state.accept(left > 0) // in full or not at all
		case shrinkHeap:
			m.shrink.look(left == 0, now)
		}
	}
}

// Each tells the metrics by Envoy's names: pressures in percent, and degrees likewise.
func (m *Manager) Each(f func(name string, value func() float64)) {
	for _, r := range m.resources {
		f("overload."+r.name+".pressure", func() float64 { return math.Trunc(r.value() * 100) })
		f("overload."+r.name+".failed_updates", func() float64 { return float64(r.failures.Load()) })
	}
	for _, a := range m.actions {
		f("overload."+a.name+".active", func() float64 { return math.Trunc(a.value()) })
		f("overload."+a.name+".scale_percent", func() float64 { return math.Trunc(a.value() * 100) })
	}
}
