package listener

import (
	"context"
	"sync/atomic"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// connectionLimit is a compiled ConnectionLimit filter: it bounds the open connections
// of its chain.
type connectionLimit struct {
	prefix          string // of its counters
	max             int64
	open            atomic.Int64
	delay           time.Duration // before one too many is closed
	active, limited *atomic.Int64 // counters
}

// compileConnectionLimit holds the counters of its prefix.
func compileConnectionLimit(a *anypb.Any, to *counters.Set) (*connectionLimit, error) {
	m := new(limitv3.ConnectionLimit)
	if err := strict.Unpack(a, m); err != nil {
		return nil, err
	}
	if err := strict.Only(m, "stat_prefix", "max_connections", "delay", "runtime_enabled"); err != nil {
		return nil, err
	}
	if m.GetStatPrefix() == "" {
		return nil, strict.Errorf("stat_prefix", "empty")
	}
	most := m.GetMaxConnections().GetValue()
	if most == 0 || most > 1<<62 {
		return nil, strict.Errorf("max_connections", "must be 1 or more")
	}
	if e := m.GetRuntimeEnabled(); e != nil && !e.GetDefaultValue().GetValue() {
		most = 1 << 62
	}
	to.Hold(counters.ConnectionLimit, m.GetStatPrefix())
	name := func(of string, gauge bool) *atomic.Int64 {
		return to.Of(counters.Name{Scope: counters.ConnectionLimit, Of: m.GetStatPrefix(), Name: of, Gauge: gauge})
	}
	l := &connectionLimit{prefix: m.GetStatPrefix(), max: int64(most), delay: m.GetDelay().AsDuration(), active: name("active_connections", true), limited: name("limited_connections", false)}
	return l, nil
}

// enter counts a connection until leave; one too many is held for the delay, and counts
// no more.
func (l *connectionLimit) enter(ctx context.Context) bool {
	if l.open.Add(1) <= l.max {
		l.active.Add(1)
		return true
	}
	l.open.Add(-1)
	l.limited.Add(1)
	if l.delay > 0 {
		t := time.NewTimer(l.delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return false
}

func (l *connectionLimit) leave() {
	l.open.Add(-1)
	l.active.Add(-1)
}
