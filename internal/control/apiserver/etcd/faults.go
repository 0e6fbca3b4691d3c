package etcd

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap/zapcore"
)

// faults collects the first reason for which etcd gave up. etcd gives up by
// logging at the levels Panic and Fatal, which panic and exit; here the goroutine
// that does so ends and the reason is kept.
type faults struct {
	dir  string
	done chan struct{}
	once sync.Once
	err  error
}

func newFaults(dir string) *faults { return &faults{dir: dir, done: make(chan struct{})} }

func (f *faults) report(why string) {
	f.once.Do(func() {
		f.err = f.named(errors.New(why))
		close(f.done)
	})
}

func (f *faults) named(err error) error {
	return fmt.Errorf("etcd: the data in %s cannot be used: %w", f.dir, err)
}

// Done is closed at the first fault.
func (f *faults) Done() <-chan struct{} { return f.done }

// Err is the first fault, nil before it.
func (f *faults) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// OnWrite is zap's hook for Panic and Fatal: it ends the goroutine that logs, as
// these levels promise their callers, but not the process.
func (f *faults) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	enc := zapcore.NewMapObjectEncoder()
	why := e.Message
	for _, field := range fields {
		if field.Key == "error" {
			field.AddTo(enc)
			why += fmt.Sprintf(": %v", enc.Fields["error"])
		}
	}
	f.report(why)
	runtime.Goexit()
}

// embed starts etcd in a goroutine of its own, so that a panic or a Goexit there is
// an error here.
func (f *faults) embed(c *embed.Config) (*embed.Etcd, error) {
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	got := make(chan result, 1)
	go func() {
		defer close(got)
		defer func() {
			if r := recover(); r != nil {
				f.report(fmt.Sprint(r))
			}
		}()
		e, err := embed.StartEtcd(c)
		got <- result{e, err}
	}()
	r, ok := <-got
	switch {
	case !ok:
		return nil, f.Err()
	case r.err != nil && f.Err() != nil:
		return nil, f.Err()
	case r.err != nil:
		return nil, f.named(r.err)
	}
	return r.etcd, nil
}

// shut runs etcd's Close, which waits for goroutines that a fault may have ended.
func (f *faults) shut(closeEtcd func()) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		defer func() { _ = recover() }()
		closeEtcd()
	}()
	if f.Err() == nil {
		select {
		case <-closed:
		case <-f.Done():
		}
	}
}
