package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/home"
)

// ErrStarting says that a mesh is starting and takes too long.
var ErrStarting = errors.New("is still not up")

// Running gives the mesh that is up on the home, nil if there is none. One that is
// just starting is waited for. A lock that somebody holds without a mesh is an
// error that names it.
func Running(ctx context.Context, h home.Dir) (*Up, error) {
	if _, err := os.Stat(string(h)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := ownFolder(string(h)); err != nil {
		return nil, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		up, err := ReadUp(h)
		if up != nil || err != nil {
			return up, err
		}
		held, err := locked(h.Lock())
		if err != nil || !held {
			return nil, err
		}
		pid, err := owner(h)
		switch took := time.Since(began); {
		case err != nil:
			return nil, err
		case pid == 0 && took > lockPatience:
			return nil, fmt.Errorf("%s is locked by another process that is no running mesh: "+
				"find it with `fuser %s`", h.Lock(), h.Lock())
		case pid != 0 && took > upTimeout:
			return nil, fmt.Errorf("the mesh of %s (pid %d) %w after %v: read %s", h, pid, ErrStarting, upTimeout, h.Log())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

const (
	// lockPatience is how long a home may be locked before a mesh says that it is its.
	lockPatience = 10 * time.Second
	// upTimeout bounds the start of a whole mesh, without its workloads: control plane,
	// then gateway.
	upTimeout = 2 * startTimeout
)
