package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/home"
)

// errNotUp is what commands say that need a mesh.
var errNotUp = errors.New("no mesh is up there: start one with `usher up --detach`")

// meshHome gives the home if a mesh was ever up there.
func meshHome() (home.Dir, error) {
	h, err := home.Default()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(h.Kubeconfig()); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("%s: %w", h, errNotUp)
		}
		return "", err
	}
	return h, nil
}

// upMesh gives the home and what is known of the `usher up` that runs there, once it
// has started.
func upMesh(ctx context.Context) (home.Dir, *standalone.Up, error) {
	h, err := meshHome()
	if err != nil {
		return "", nil, err
	}
	up, err := standalone.Running(ctx, h)
	if err != nil {
		return "", nil, err
	}
	if up == nil {
		return "", nil, fmt.Errorf("%s: %w", h, errNotUp)
	}
	return h, up, nil
}

// interruptible ends the context on Ctrl-C and SIGTERM.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// binDir is where usher itself is.
func binDir() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return "", err
	}
	return filepath.Dir(exe), nil
}
