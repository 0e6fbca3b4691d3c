package overload

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

// Default is the manager of a proxy whose configuration has none: requests are answered
// 503 before the memory that the process may have is used up, so that it is neither
// killed nor has the machine swap. Where nothing limits it, nothing is done.
func Default(log *slog.Logger) (*Manager, error) {
	m := &Manager{interval: 250 * time.Millisecond, log: log}
	m.state.Bound(descriptors())
	limit := softLimit()
	if g, err := findCgroup("/sys/fs/cgroup", "/proc/self/cgroup"); err == nil {
		if n, err := g.bytes(g.limit); err == nil && n > 0 && (limit == 0 || n < limit) {
			limit = n
			if os.Getenv("GOMEMLIMIT") == "" {
				debug.SetMemoryLimit(int64(float64(n) * collectAt))
			}
		}
	}
	if limit == 0 {
		return m, nil
	}
	r := &resource{name: "envoy.resource_monitors.fixed_heap", pressure: heapOf(limit)}
	m.resources = []*resource{r}
	m.actions = []*action{{name: stopRequests, kind: stopRequests, triggers: []trigger{{r, shedAt, shedAt}}}}
	return m, nil
}

// The runtime collects garbage as hard as it can from collectAt of the limit on, so what
// is held at shedAt is in use.
const (
	collectAt = 0.9
	shedAt    = 0.95
)

// softLimit is what GOMEMLIMIT stands for: the runtime holds to it as long as it can, so
// it is taken for collectAt of the true limit. 0 without one.
func softLimit() uint64 {
	n := debug.SetMemoryLimit(-1)
	if os.Getenv("GOMEMLIMIT") == "" || n == math.MaxInt64 {
		return 0
	}
	return uint64(float64(n) / collectAt)
}

// descriptors bounds the connections of clients by the open files that the process may
// have: half, since each may need one to its upstream, and some are for the rest.
func descriptors() int64 {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return math.MaxInt64
	}
	return int64(min(r.Cur/2, math.MaxInt64))
}
