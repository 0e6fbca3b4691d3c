package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"k8s.io/klog/v2"
)

// klogSink is where klog's last words go. klog, the log of the Kubernetes libraries,
// is one for the process, and so is this: the one global of this package.
var klogSink atomic.Pointer[func(error)]

// routeKlog sends klog's warnings and errors to log, and makes its Fatal end the
// goroutine that calls it, with fail told, instead of the process.
func routeKlog(log *slog.Logger, fail func(error)) {
	klogSink.Store(&fail)
	klog.SetSlogLogger(slog.New(levelHandler{log.With("component", "kubernetes").Handler()}))
	klog.OsExit = func(code int) {
		if f := klogSink.Load(); f != nil {
			(*f)(fmt.Errorf("a Kubernetes library gave up (%d), see the log", code))
		}
		runtime.Goexit()
	}
}

// levelHandler lets warnings and errors through: at level Info the libraries tell
// each step of a start.
type levelHandler struct{ slog.Handler }

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(a)}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name)}
}
