package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// Start starts the supervisor in a session of its own, so that it outlives
// whoever starts it. It does not wait; the process is reaped.
func Start(l *Local, proxy string) error {
	log, err := os.OpenFile(l.Dir.SupervisorLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(proxy, "supervise", "--dir", string(l.Dir))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor of %s/%s: %w", l.Spec.Namespace, l.Spec.Name, err)
	}
	go cmd.Wait()
	return nil
}

// Await waits until the workload runs: its sidecar has configuration and its
// command listens. With onceMore a command that ends before that is waited for, since
// its supervisor starts it again: it may need another one that is on its way. The error
// names the log to read.
func Await(ctx context.Context, h home.Dir, namespace, name string, limit time.Duration, onceMore bool) (*Local, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	seen := false
	for {
		l, err := Find(h, namespace, name)
		switch {
		case err != nil:
			return nil, err
		case l == nil:
			return nil, fmt.Errorf("workload %s/%s: was stopped", namespace, name)
		case l.Alive && l.State.State == spec.Running:
			return l, nil
		case !l.Alive && (seen || l.State != nil && l.State.State == spec.Stopped):
			return nil, failed(l, "ended before it was ready")
		case !onceMore && l.Alive && l.State.ExitCode != nil:
			return nil, fmt.Errorf("workload %s/%s: %s before it was ready: read %s", namespace, name, l.State.Message, l.Dir.AppLog())
		}
		seen = seen || l.Alive
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, failed(l, fmt.Sprintf("is not ready after %v", limit))
			}
			return nil, ctx.Err()
		}
	}
}

func failed(l *Local, what string) error {
	if l.State != nil && l.State.Message != "" {
		what += " (" + l.State.Message + ")"
	}
	return fmt.Errorf("workload %s/%s %s: read %s, %s and %s", l.Spec.Namespace, l.Spec.Name, what,
		l.Dir.SupervisorLog(), filepath.Base(l.Dir.ProxyLog()), filepath.Base(l.Dir.AppLog()))
}

// FindProxy gives the usher-proxy to start: $USHER_PROXY, beside usher, or on PATH.
func FindProxy(binDir string) (string, error) {
	if p := os.Getenv("USHER_PROXY"); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("USHER_PROXY: %w", err)
		}
		return filepath.Abs(p)
	}
	if p := filepath.Join(binDir, "usher-proxy"); executable(p) {
		return p, nil
	}
	p, err := exec.LookPath("usher-proxy")
	if err != nil {
		return "", fmt.Errorf("usher-proxy is neither beside usher (%s) nor on PATH: set USHER_PROXY to its path", binDir)
	}
	return p, nil
}

func executable(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// adminSocket is where the proxy's full admin interface listens.
func adminSocket(h home.Dir, namespace, name string) (string, error) {
	dir, err := h.Sockets()
	if err != nil {
		return "", err
	}
	p := filepath.Join(dir, shortName(namespace+"/"+name)+".sock")
	return p, nil
}
