package standalone

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/usher-mesh/usher/internal/home"
)

// own makes this process the one that owner names, until the file is closed, or any
// other of this process on the same path.
func own(h home.Dir) (*os.File, error) {
	f, err := os.OpenFile(h.Owner(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &l); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", h.Owner(), err), f.Close())
	}
	return f, nil
}

// owner gives the pid of the mesh's process, starting or up, 0 if there is none. Not
// for that process itself: a process does not see its own lock, and would lose it.
func owner(h home.Dir) (pid int, err error) {
	f, err := os.Open(h.Owner())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	l := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &l); err != nil {
		return 0, fmt.Errorf("lock %s: %w", h.Owner(), err)
	}
	if l.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(l.Pid), nil
}
