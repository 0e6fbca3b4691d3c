package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/klog/v2"
)

// klogSink is where klog's last words go. klog, the log of the Kubernetes libraries,
// is one for the process, and so is this: the one global of this package.
var klogSink atomic.Pointer[func(error)]

// routeKlog sends klog's warnings and errors to log, and makes its Fatal end the
// goroutine that calls it, with fail told, instead of the process.
func routeKlog(log *slog.Logger, fail func(error)) {
	klogSink.Store(&fail)
	klog.SetSlogLogger(slog.New(levelHandler{
		Handler: log.With("component", "kubernetes").Handler(),
		limit:   rate.NewLimiter(klogRate, klogBurst),
		dropped: new(atomic.Int64),
	}))
	klog.OsExit = func(code int) {
		if f := klogSink.Load(); f != nil {
			(*f)(fmt.Errorf("a Kubernetes library gave up (%d), see the log", code))
		}
		runtime.Goexit()
	}
}

// klogRate and klogBurst bound klog's lines a second: a bad credential is one, and
// anybody on the machine can bring those.
const (
	klogRate  = 5
	klogBurst = 50
)

// levelHandler lets warnings and errors through, within bounds: at level Info the
// libraries tell each step of a start.
type levelHandler struct {
	slog.Handler
	limit   *rate.Limiter
	dropped *atomic.Int64
}

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h levelHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.limit.Allow() {
		h.dropped.Add(1)
		return nil
	}
	if n := h.dropped.Swap(0); n > 0 {
		r = r.Clone()
		r.Add("dropped", n)
	}
	return h.Handler.Handle(ctx, r)
}

func (h levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(a)
	return h
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
