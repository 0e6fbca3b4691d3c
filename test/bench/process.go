package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// The CPUs: the proxy under test has one for itself.
const (
	proxyCPU = 0
	loadCPU  = 1
)

// pinned is a command line that runs on one CPU.
func pinned(cpu int, argv ...string) []string {
	return append([]string{"taskset", "-c", strconv.Itoa(cpu)}, argv...)
}

// process is a program that was started here. It has to be stopped.
type process struct {
	cmd  *exec.Cmd
	log  string        // path of what it says
	done chan struct{} // closed when it has ended
}

// launch starts a program on one CPU; what it says goes into a file of the site.
func (s *site) launch(cpu int, name string, env []string, argv ...string) (*process, error) {
	p := &process{log: s.File(name + ".log"), done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line := pinned(cpu, argv...)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its log says why
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// startLimit bounds a program's start, stopLimit its end.
const (
	startLimit = 10 * time.Second
	stopLimit  = 3 * time.Second
)

// await returns when the program accepts connections at all ports. If it ends before,
// the error has its last words.
func (p *process) await(ctx context.Context, ports ...int) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(ports) > 0 {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]), time.Second)
		if err == nil {
			c.Close()
			ports = ports[1:]
			continue
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("ended at once (%v): %s", p.cmd.ProcessState, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("does not listen at port %d after %v: %s", ports[0], startLimit, p.lastWords())
		}
	}
	return nil
}

// lastWords is the last line that the program wrote.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return lastLine(text)
}

func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// stop ends the program and its children.
func (p *process) stop() error {
	family, err := readFamily(p.pid())
	if err != nil {
		family = nil // it has ended
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
	}
	// A killed nginx does not end its worker.
	for _, m := range family {
		if err := syscall.Kill(m.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill %d: %w", m.pid, err)
		}
	}
	<-p.done
	return fmt.Errorf("%s: killed, since it did not end within %v", p.cmd.Path, stopLimit)
}
