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
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.Now().Add(lockPatience)
	for {
		up, err := ReadUp(h)
		if up != nil || err != nil {
			return up, err
		}
		held, err := locked(h.Lock())
		if err != nil || !held {
			return nil, err
		}
		if time.Now().After(limit) {
			return nil, fmt.Errorf("%s is locked by another process that is no running mesh: "+
				"find it with `fuser %s`", h.Lock(), h.Lock())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lockPatience is how long a home may be locked before its mesh is up.
const lockPatience = 10 * time.Second
