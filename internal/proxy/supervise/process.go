package supervise

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that has been started.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	group   bool // leads a process group of its own
	done    chan struct{}
}

// starter starts children from one thread that lives as long as the supervisor:
// the kernel ties a child's parent-death signal to the thread that made it.
type starter struct{ work chan func() }

func newStarter() *starter {
	s := &starter{make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *starter) close() { close(s.work) }

func (s *starter) start(cmd *exec.Cmd, group bool) (*process, error) {
	cmd.SysProcAttr = attributes(group)
	res := make(chan error)
	s.work <- func() { res <- cmd.Start() }
	if err := <-res; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, started: time.Now(), group: group, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // its outcome is in ProcessState
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends sig to the process, and to its group if it leads one.
func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.done:
		return
	default:
	}
	if p.group {
		if err := syscall.Kill(-p.pid(), sig); err == nil {
			return
		}
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended just now
}

// status is the exit status as a shell shows it.
func (p *process) status() int {
	w, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop asks the process to end and kills it after the grace.
func (p *process) stop(grace time.Duration) {
	p.signal(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// openLog opens a log for appending, 0600. One that grew too big is put aside.
func openLog(path string) (*os.File, error) {
	if fi, err := os.Stat(path); err == nil && fi.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// pause is the pause before a restart: none, unless the process died quickly
// again and again.
func pause(last, lived time.Duration) time.Duration {
	if lived >= quickDeath {
		return 0
	}
	return min(max(minPause, 2*last), maxPause)
}
