package footprint

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

const (
	every = 10 * time.Second
	slack = 4 << 20
)

// TrimWhenIdle gives back what a load has left once the process has had next to nothing
// to do for ten seconds, until ctx ends. Above all that is the stacks of connections that
// wait: the runtime shrinks them when it collects garbage, which idle processes make none
// of.
func TrimWhenIdle(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	i := idle{used: used(), held: held()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if i.due(used(), held()) {
			// A collection halves a stack at most.
			debug.FreeOSMemory()
			debug.FreeOSMemory()
			i.used, i.held = used(), held()
		}
	}
}

// idle is how things were at the last look.
type idle struct {
	used time.Duration // of the processors
	held uint64        // after the last trim
}

// due tells whether there is something to give back and nobody to disturb.
func (i *idle) due(used time.Duration, held uint64) bool {
	busy := used - i.used
	i.used = used
	i.held = min(i.held, held)
	return busy < every/50 && held > i.held+slack
}

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// held is the memory that the runtime has from the kernel, in bytes.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
