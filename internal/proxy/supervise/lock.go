package supervise

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// errHeld says that the workload has a supervisor.
var errHeld = errors.New("is supervised already")

// lock takes the workload's lock for as long as the file is open.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockPatience)
	tick := time.NewTicker(portPeriod)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		case time.Now().After(deadline):
			return nil, errors.Join(fmt.Errorf("the workload %w: %s is held", errHeld, path), f.Close())
		}
		<-tick.C
	}
}
