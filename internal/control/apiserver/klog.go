package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/klog/v2"
)

// klogSink is where the lines of klog, the log of the Kubernetes libraries, and its
// last words go. klog is one for the process and cannot be set while it is in use,
// so this is the one global of this package.
var (
	klogSink atomic.Pointer[sink]
	klogOnce sync.Once
)

type sink struct {
	handler slog.Handler
	fail    func(error)
	limit   *rate.Limiter
	dropped atomic.Int64
}

// klogRate and klogBurst bound klog's lines a second: a bad credential is one, and
// anybody on the machine can bring those.
const (
	klogRate  = 5
	klogBurst = 50
)

// routeKlog sends klog's warnings and errors to log, and makes its Fatal end the
// goroutine that calls it, with fail told, instead of the process.
func routeKlog(log *slog.Logger, fail func(error)) {
	klogSink.Store(&sink{
		handler: log.With("component", "kubernetes").Handler(),
		fail:    fail,
		limit:   rate.NewLimiter(klogRate, klogBurst),
	})
	klogOnce.Do(func() {
		klog.SetSlogLogger(slog.New(klogHandler{}))
		klog.OsExit = func(code int) {
			klogSink.Load().fail(fmt.Errorf("a Kubernetes library gave up (%d), see the log", code))
			runtime.Goexit()
		}
	})
}

// klogHandler hands warnings and errors to the sink of the moment, within bounds: at
// level Info the libraries tell each step of a start.
type klogHandler struct {
	with []func(slog.Handler) slog.Handler
}

func (h klogHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && klogSink.Load().handler.Enabled(ctx, l)
}

func (h klogHandler) Handle(ctx context.Context, r slog.Record) error {
	s := klogSink.Load()
	if !s.limit.Allow() {
		s.dropped.Add(1)
		return nil
	}
	if n := s.dropped.Swap(0); n > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int64("dropped", n))
	}
	to := s.handler
	for _, with := range h.with {
		to = with(to)
	}
	return to.Handle(ctx, r)
}

func (h klogHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return klogHandler{append(slices.Clip(h.with), func(to slog.Handler) slog.Handler { return to.WithAttrs(a) })}
}

func (h klogHandler) WithGroup(name string) slog.Handler {
	return klogHandler{append(slices.Clip(h.with), func(to slog.Handler) slog.Handler { return to.WithGroup(name) })}
}
