package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/home"
)

// ErrLocked says that another process holds the home's lock.
var ErrLocked = errors.New("another process holds its lock")

// Lock makes the home's folders and takes its lock, for Options.Lock of this process
// or of a child that inherits the file. The kernel gives it back when the last of them
// has ended, however it ends.
func Lock(h home.Dir) (*os.File, error) {
	if err := ownFolder(string(h)); err != nil {
		return nil, err
	}
	for _, d := range []string{h.APIPKI(), h.MeshPKI(), h.Issuer(), h.JWKS(), h.Log(), h.Workloads()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(h.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w (%s)", h, ErrLocked, h.Lock())
		}
		return nil, fmt.Errorf("lock %s: %w", h.Lock(), err)
	}
	// One that was killed left it; whoever sees the lock held takes it for ours, and
	// sends signals to the process that it names.
	if err := os.Remove(h.Up()); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Inherited is the lock that the parent process has taken and handed on.
func Inherited(fd int) (*os.File, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "lock")
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("descriptor %d is no lock of ours: %w", fd, err), f.Close())
	}
	return f, nil
}

// ownFolder makes the folder, or checks that it is this user's: a mesh's keys
// must not stand where somebody else decides.
func ownFolder(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the home folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the home folder: %w", err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s: is no folder", dir)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s: belongs to user id %d, not to you (%d); set USHER_HOME to a folder of your own",
			dir, st.Uid, os.Getuid())
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// locked tells whether somebody holds the lock file.
func locked(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// AwaitLock takes the lock file once nobody else holds it, until it is closed.
func AwaitLock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
