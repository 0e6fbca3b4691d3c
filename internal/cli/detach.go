package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/home"
)

// message is one line from a detached `usher up` to the one that started it.
type message struct {
	Say   string `json:"say,omitempty"`
	Ready bool   `json:"ready,omitempty"`
	Error string `json:"error,omitempty"`
}

// reporter is the detached side; nil in the foreground.
type reporter struct{ f *os.File }

func newReporter(fd int) *reporter {
	if fd == 0 {
		return nil
	}
	syscall.CloseOnExec(fd)
	return &reporter{os.NewFile(uintptr(fd), "ready")}
}

// send ignores errors: whoever started us may be gone, and the log has it too.
func (r *reporter) send(m message) {
	if r != nil {
		_ = json.NewEncoder(r.f).Encode(m)
	}
}

func (r *reporter) say(line string) { r.send(message{Say: line}) }
func (r *reporter) ready()          { r.send(message{Ready: true}); r.close() }

func (r *reporter) failed(err error) {
	if err != nil {
		r.send(message{Error: err.Error()})
	}
}

func (r *reporter) close() {
	if r != nil {
		r.f.Close()
	}
}

// detach starts `usher up` again in a session of its own, and waits until it is
// ready or has failed.
func detach(ctx context.Context, out io.Writer, o standalone.Options, args []string) error {
	defer o.Lock.Close()
	h := o.Home
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := logFile(h)
	if err != nil {
		return err
	}
	defer log.Close()
	pr, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	defer pr.Close()
	child := exec.Command(exe, append(args, "--detach=false", "--ready-fd=3", "--lock-fd=4")...)
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{pw, o.Lock}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	pw.Close()
	o.Lock.Close() // it is the child's now
	if err != nil {
		return fmt.Errorf("start usher up: %w", err)
	}
	result := make(chan error, 1)
	go func() { result <- follow(pr, out) }()
	select {
	case err = <-result:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		return reportUp(out, h)
	}
	// It ends by itself if it failed; if we were interrupted, it is told to.
	if err := child.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if werr := child.Wait(); errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("usher up ended before it was ready (%v): read %s", werr, log.Name())
	}
	return err
}

// follow prints what the child says until it is ready.
func follow(r io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		switch {
		case m.Error != "":
			return errors.New(m.Error)
		case m.Ready:
			return nil
		}
		fmt.Fprintln(out, m.Say)
	}
	return io.ErrUnexpectedEOF
}

func reportUp(out io.Writer, h home.Dir) error {
	up, err := standalone.ReadUp(h)
	if err != nil {
		return err
	}
	if up == nil {
		return fmt.Errorf("%s: the mesh ended right after its start", h)
	}
	(&upFlags{}).report(out, h, up)
	return nil
}

func logFile(h home.Dir) (*os.File, error) {
	if err := os.MkdirAll(h.Log(), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(h.Log(), "usher.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
