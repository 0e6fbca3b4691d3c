package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// supervisor is one run.
type supervisor struct {
	o     Options
	spec  *spec.Spec
	state spec.State
	start *starter

	proxy    *process
	notice   Notice
	notices  chan Notice
	proxyDue *time.Timer
	proxyGap time.Duration

	app     *process
	appGap  time.Duration
	appDue  *time.Timer
	listens chan *process // the command listens on all its ports

	stopping bool
	settled  bool
}

// Run supervises the workload until it ends or is told to stop. It gives the exit
// status: the command's, or Failed with an error.
func Run(o Options) (int, error) {
	s, err := spec.Read(o.Dir.Spec())
	if err != nil {
		return Failed, fmt.Errorf("the workload's description: %w", err)
	}
	if s.Kind != spec.Gateway && len(s.Command) == 0 {
		return Failed, errors.New("the workload has no command")
	}
	l, err := lock(o.Dir.Lock())
	if err != nil {
		return Failed, err
	}
	defer l.Close()
	sv := &supervisor{
		o: o, spec: s, start: newStarter(), notices: make(chan Notice), listens: make(chan *process),
		state: spec.State{State: spec.Starting, SupervisorPID: os.Getpid(), StartedAt: time.Now().UTC()},
	}
	defer sv.start.close()
	sv.save()
	code, err := sv.run()
	if err != nil {
		sv.state.Message = err.Error()
	}
	sv.state.State, sv.state.ExitCode = spec.Stopped, &code
	sv.state.AppPID, sv.state.ProxyPID, sv.state.Acked = 0, 0, false
	sv.save()
	return code, err
}

func (s *supervisor) run() (code int, err error) {
	if !s.spec.NoSidecar {
		if err := os.MkdirAll(s.o.Dir.Cache(), 0o700); err != nil {
			return Failed, err
		}
		if err := writeBootstrap(s.o.Dir, s.spec); err != nil {
			return Failed, fmt.Errorf("bootstrap file: %w", err)
		}
		if err := s.startProxy(); err != nil {
			return Failed, err
		}
		defer s.stopProxy()
	} else if err := s.startApp(); err != nil {
		return Failed, err
	}
	defer s.stopApp()
	for {
		done, code, err := s.step()
		if done {
			return code, err
		}
		s.save()
	}
}

// step waits for the next thing to happen.
func (s *supervisor) step() (done bool, code int, err error) {
	select {
	case n := <-s.notices:
		s.notice = n
		if n.Ready && s.app == nil && s.appDue == nil && s.spec.Kind != spec.Gateway {
			if err := s.startApp(); err != nil {
				return true, Failed, err
			}
		}
	case <-doneOf(s.proxy):
		s.proxyEnded()
	case <-due(s.proxyDue):
		s.proxyDue = nil
		if err := s.startProxy(); err != nil {
			return true, Failed, err
		}
	case <-doneOf(s.app):
		return s.appEnded()
	case <-due(s.appDue):
		s.appDue = nil
		if err := s.startApp(); err != nil {
			return true, Failed, err
		}
	case p := <-s.listens:
		if p == s.app {
			s.settled = true
		}
	case sig := <-s.o.Signals:
		return s.signalled(sig)
	}
	return false, 0, nil
}

// signalled hands a signal on. One that means the end of a workload without a
// running command ends it here.
func (s *supervisor) signalled(sig os.Signal) (done bool, code int, err error) {
	n, ok := sig.(syscall.Signal)
	if !ok {
		return false, 0, nil
	}
	final := n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGHUP || n == syscall.SIGQUIT
	switch {
	case s.app == nil && final:
		if s.spec.Kind == spec.Gateway {
			return true, 0, nil
		}
		return true, 128 + int(n), nil
	case s.app == nil:
		return false, 0, nil
	case n == syscall.SIGTERM || n == syscall.SIGHUP:
		s.stopping = true
		s.app.signal(n)
		s.app.stop(appGrace)
		return true, s.app.status(), nil
	case s.app.group || n != syscall.SIGINT && n != syscall.SIGQUIT:
		s.app.signal(n)
	}
	// Else the terminal has sent it to the command too.
	return false, 0, nil
}

func (s *supervisor) appEnded() (done bool, code int, err error) {
	p := s.app
	code = p.status()
	s.app, s.settled = nil, false
	if p.group {
		_ = syscall.Kill(-p.pid(), syscall.SIGKILL) // what it left behind
	}
	if s.spec.Restart != spec.Always {
		return true, code, nil
	}
	s.appGap = max(minPause, pause(s.appGap, time.Since(p.started)))
	s.state.Message, s.state.ExitCode = fmt.Sprintf("the command ended with status %d", code), &code
	s.o.Log.Warn("the command ended, starting it again", "status", code, "in", s.appGap)
	s.appDue = time.NewTimer(s.appGap)
	return false, 0, nil
}

// save writes the state if it changed.
func (s *supervisor) save() {
	n := &s.state
	n.AppPID, n.ProxyPID = pidOf(s.app), pidOf(s.proxy)
	n.ConfigVersion, n.Acked = s.notice.Config, s.notice.Acked && s.refused() == ""
	if n.State != spec.Stopped {
		n.State = s.phase()
	}
	if n.State == spec.Running {
		n.Message, n.ExitCode = "", nil
	} else if r := s.refused(); r != "" && n.State == spec.Degraded {
		n.Message = r
	}
	if err := n.Write(s.o.Dir.State()); err != nil {
		s.o.Log.Error("the state cannot be written", "file", filepath.Base(s.o.Dir.State()), "error", err)
	}
	if n.State == spec.Running && s.o.Settled != nil {
		s.o.Settled()
	}
}

// refused tells why nobody is served at a port of the workload. A gateway's ports
// are objects of their own, each with a status: one of them does not stand for it.
func (s *supervisor) refused() string {
	if s.spec.Kind == spec.Gateway {
		return ""
	}
	return s.notice.Refused
}

func (s *supervisor) phase() spec.Phase {
	proxyFine := s.spec.NoSidecar || s.proxy != nil && s.notice.Ready
	appFine := s.spec.Kind == spec.Gateway || s.settled
	switch {
	case s.refused() != "":
		return spec.Degraded
	case proxyFine && appFine:
		return spec.Running
	case s.state.State == spec.Running || s.state.State == spec.Degraded:
		return spec.Degraded
	}
	return spec.Starting
}

func pidOf(p *process) int {
	if p == nil {
		return 0
	}
	return p.pid()
}

func doneOf(p *process) <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

func due(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}
