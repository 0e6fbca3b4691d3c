package accesslog

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
)

const (
	flushAfter = 100 * time.Millisecond
	bufferSize = 32 << 10
)

// Files are the log files of a process: each is opened once, however many
// configurations name it, and stays open over changes of configuration. They know, too,
// what has not been sent to collectors yet.
type Files struct {
	Stdout, Stderr io.Writer // nil: the process's own

	mu     sync.Mutex
	sinks  map[string]*sink
	queues map[flusher]bool // of loggers that send their entries to others
}

// flusher is a queue.
type flusher interface{ flush(context.Context) }

// hold has Close wait for a queue; letGo ends that.
func (f *Files) hold(q flusher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queues == nil {
		f.queues = map[flusher]bool{}
	}
	f.queues[q] = true
}

func (f *Files) letGo(q flusher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.queues, q)
}

// send sends what waits in queues, within a second.
func (f *Files) send() {
	f.mu.Lock()
	queues := slices.Collect(maps.Keys(f.queues))
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lastSend)
	defer cancel()
	var all sync.WaitGroup
	for _, q := range queues {
		all.Go(func() { q.flush(ctx) })
	}
	all.Wait()
}

// open gives the sink of a path, appending to the file, which is made 0600.
func (f *Files) open(path string) (*sink, error) {
	switch path {
	case "/dev/stdout":
		return f.stdout(), nil
	case "/dev/stderr":
		return f.stderr(), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sinks[path]; s != nil {
		return s, nil
	}
	w, err := Open(path)
	if err != nil {
		return nil, err
	}
	return f.add(path, w), nil
}

// Open opens a log file to append to, and makes it 0600.
func Open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// Reopen opens all files anew by their paths, such as after they were renamed; not the
// process's own streams. Lines that have come are in the old files, and one that cannot be
// opened stays in use.
func (f *Files) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, s := range f.sinks {
		if err := s.reopen(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f *Files) stdout() *sink { return f.stream("/dev/stdout", f.Stdout, os.Stdout) }
func (f *Files) stderr() *sink { return f.stream("/dev/stderr", f.Stderr, os.Stderr) }

func (f *Files) stream(name string, w, def io.Writer) *sink {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sinks[name]; s != nil {
		return s
	}
	if w == nil {
		w = def
	}
	return f.add(name, w)
}

func (f *Files) add(name string, w io.Writer) *sink {
	if f.sinks == nil {
		f.sinks = make(map[string]*sink)
	}
	s := &sink{w: w}
	f.sinks[name] = s
	return s
}

// Flush writes what is held back.
func (f *Files) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sinks {
		s.flush()
	}
}

// Close flushes and closes all files but the process's own streams. Collectors are told
// what waits for them.
func (f *Files) Close() error {
	f.send()
	f.Flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	var first error
	for name, s := range f.sinks {
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
		if c, ok := s.w.(io.Closer); ok && name != "/dev/stdout" && name != "/dev/stderr" {
			if err := c.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	f.sinks = nil
	return first
}

// sink collects lines and writes them together, 100 ms after the first at most.
type sink struct {
	mu      sync.Mutex
	w       io.Writer
	buf     []byte
	subject format.Subject // of the line that is made
	timer   *time.Timer
	waiting bool
}

// write appends a line. One that cannot be written is lost: a log never stops a
// request.
func (s *sink) write(f *format.Format, x *exchange.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subject.X = x
	s.buf = f.AppendLine(s.buf, &s.subject)
	s.subject.X = nil
	if len(s.buf) >= bufferSize {
		s.out()
		return
	}
	if s.waiting {
		return
	}
	s.waiting = true
	if s.timer == nil {
		s.timer = time.AfterFunc(flushAfter, s.flush)
	} else {
		s.timer.Reset(flushAfter)
	}
}

func (s *sink) reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.w.(*os.File)
	if !ok || old == os.Stdout || old == os.Stderr {
		return nil
	}
	w, err := Open(old.Name())
	if err != nil {
		return err
	}
	s.out()
	s.w = w
	return old.Close()
}

func (s *sink) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out()
}

func (s *sink) out() {
	s.waiting = false
	if len(s.buf) == 0 {
		return
	}
	_, _ = s.w.Write(s.buf)
	if cap(s.buf) > 2*bufferSize {
		s.buf = nil
	}
	s.buf = s.buf[:0]
}
