package workload

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// Local is a workload of this machine: what it was told to be, and what its
// supervisor says of it.
type Local struct {
	Dir   home.WorkloadDir
	Spec  *spec.Spec
	State *spec.State // nil until the supervisor has said something
	Alive bool        // its supervisor lives
}

// List gives all local workloads of the home, gateways included, sorted by
// namespace and name. A folder without a readable description is left out.
func List(h home.Dir) ([]Local, error) {
	dirs, err := filepath.Glob(filepath.Join(h.Workloads(), "*", "*", "workload.json"))
	if err != nil {
		return nil, err
	}
	var all []Local
	for _, p := range dirs {
		l, err := load(home.WorkloadDir(filepath.Dir(p)))
		if errors.Is(err, os.ErrNotExist) {
			continue // stopped in between
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *l)
	}
	return all, nil
}

// Find gives one local workload, nil if there is none of that name.
func Find(h home.Dir, namespace, name string) (*Local, error) {
	l, err := load(h.Workload(namespace, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return l, err
}

func load(dir home.WorkloadDir) (*Local, error) {
	s, err := spec.Read(dir.Spec())
	if err != nil {
		return nil, err
	}
	l := &Local{Dir: dir, Spec: s}
	switch st, err := spec.ReadState(dir.State()); {
	case err == nil:
		l.State = st
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	l.Alive, err = alive(l)
	return l, err
}

// alive asks the lock only after the supervisor has written its state: the
// question takes the lock for a moment, which must not hinder one that starts.
func alive(l *Local) (bool, error) {
	if l.State == nil {
		return false, nil
	}
	f, err := os.Open(l.Dir.Lock())
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
