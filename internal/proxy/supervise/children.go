package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/supervise/environ"
)

// startProxy starts the sidecar with a way to tell how it is (Notice) and a
// standard input that ends with us.
func (s *supervisor) startProxy() error {
	log, err := openLog(s.o.Dir.ProxyLog())
	if err != nil {
		return err
	}
	defer log.Close()
	in, keep, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return errors.Join(err, keep.Close())
	}
	defer w.Close()
	cmd := exec.Command(s.o.Proxy, "-c", s.o.Dir.Bootstrap())
	cmd.Env = append(environ.Sidecar(os.Environ()), environ.NotifyEnv+"="+strconv.Itoa(notifyFD))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, log, log
	cmd.ExtraFiles = []*os.File{w}
	p, err := s.start.start(cmd, true)
	if err != nil {
		return errors.Join(fmt.Errorf("start the sidecar: %w", err), keep.Close(), r.Close())
	}
	go func() {
		defer keep.Close()
		defer r.Close()
		readNotices(r, func(n Notice) {
			select {
			case s.notices <- n:
			case <-p.done:
			}
		})
		<-p.done
	}()
	s.proxy = p
	return nil
}

// proxyEnded has a sidecar that died started again: at once, unless it dies again
// and again.
func (s *supervisor) proxyEnded() {
	p := s.proxy
	lived := time.Since(p.started)
	s.proxy, s.notice = nil, Notice{Config: s.notice.Config}
	s.state.Restarts++
	s.state.Message = fmt.Sprintf("the sidecar ended with status %d: read %s", p.status(), filepath.Base(s.o.Dir.ProxyLog()))
	if lived < quickDeath && s.proxyGap == 0 {
		s.proxyGap = 1 // the first quick death costs no pause
	} else if s.proxyGap = pause(s.proxyGap, lived); s.proxyGap == 0 {
		s.proxyGap = 1
	}
	s.o.Log.Warn("the sidecar ended, starting it again", "status", p.status(), "lived", lived.Round(time.Millisecond), "in", s.proxyGap.Round(time.Millisecond))
	s.proxyDue = time.NewTimer(s.proxyGap)
}

func (s *supervisor) stopProxy() {
	if s.proxy != nil {
		s.proxy.stop(proxyGrace)
	}
}

// startApp starts the command and watches for its ports.
func (s *supervisor) startApp() error {
	path, err := lookup(s.spec.Command[0], filepath.Dir(s.o.Proxy), s.spec.Workdir)
	if err != nil {
		return fmt.Errorf("the command cannot be run: %w", err)
	}
	cmd := &exec.Cmd{Path: path, Args: s.spec.Command, Dir: s.spec.Workdir, Env: environ.For(s.spec, os.Environ())}
	if s.o.Detached {
		log, err := openLog(s.o.Dir.AppLog())
		if err != nil {
			return err
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	} else {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.o.Stdin, s.o.Stdout, s.o.Stderr
	}
	// In the foreground of a terminal the command stays in our process group: it
	// may read from the terminal, and gets its signals from there.
	p, err := s.start.start(cmd, s.o.Detached || !terminal(s.o.Stdin))
	if err != nil {
		return fmt.Errorf("the command cannot be run: %w", err)
	}
	s.app, s.settled = p, false
	go s.awaitPorts(p)
	return nil
}

func (s *supervisor) stopApp() {
	if s.app != nil {
		s.app.stop(appGrace)
	}
}

// awaitPorts tells when the command listens on all its ports.
func (s *supervisor) awaitPorts(p *process) {
	tick := time.NewTicker(portPeriod)
	defer tick.Stop()
	for _, port := range s.spec.Ports {
		for {
			c, err := net.DialTimeout("tcp", port.App, time.Second)
			if err == nil {
				_ = c.Close()
				break
			}
			select {
			case <-p.done:
				return
			case <-tick.C:
			}
		}
	}
	select {
	case s.listens <- p:
	case <-p.done:
	}
}

// terminal tells whether f is one.
func terminal(f *os.File) bool {
	if f == nil {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull && isTerminal(f)
}
