package standalone

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/workload"
)

// downTimeout is how long the process of a mesh may take to end in order.
const downTimeout = 30 * time.Second

// Down stops the mesh of the home: all workloads, then gateways, then the process
// of `usher up`. It gives false if nothing ran. What the API holds stays, but for
// the objects that stand for the workloads; registry is nil if the API is away.
func Down(ctx context.Context, h home.Dir, registry *workload.Registry) (bool, error) {
	all, err := workload.List(h)
	if err != nil {
		return false, err
	}
	if err := StopAll(ctx, h, registry); err != nil {
		return true, err
	}
	pid, err := owner(h)
	if err != nil {
		return false, err
	}
	if pid == 0 {
		return len(all) > 0, nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return true, fmt.Errorf("stop usher up (pid %d): %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if held, err := locked(h.Lock()); err != nil || !held {
			return true, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return true, fmt.Errorf("usher up (pid %d) does not end: read %s", pid, h.Log())
		}
	}
}
