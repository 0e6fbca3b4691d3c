package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/home"
)

// grace is how long a supervisor may take to stop its children in order.
const grace = 10 * time.Second

// Stop ends a local workload: the supervisor is asked, then killed, and its
// description goes, so that nobody starts it again. Its logs stay.
func Stop(ctx context.Context, l *Local) error {
	if err := os.Remove(l.Dir.Spec()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !l.Alive {
		return nil
	}
	pid := l.State.SupervisorPID
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop workload %s/%s (pid %d): %w", l.Spec.Namespace, l.Spec.Name, pid, err)
	}
	if err := awaitEnd(ctx, l, grace); err == nil {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill workload %s/%s (pid %d): %w", l.Spec.Namespace, l.Spec.Name, pid, err)
	}
	return awaitEnd(ctx, l, grace)
}

var errStillThere = errors.New("its supervisor does not end")

func awaitEnd(ctx context.Context, l *Local, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if up, err := alive(l); err != nil || !up {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("workload %s/%s: %w", l.Spec.Namespace, l.Spec.Name, errStillThere)
		}
	}
}

// Remove stops the workload, if it is there, and deletes its objects.
func Remove(ctx context.Context, h home.Dir, r *Registry, namespace, name string) error {
	l, err := Find(h, namespace, name)
	if err != nil || l == nil {
		return err
	}
	if err := Stop(ctx, l); err != nil {
		return err
	}
	return r.Unregister(ctx, namespace, name, l.Spec.Service)
}
