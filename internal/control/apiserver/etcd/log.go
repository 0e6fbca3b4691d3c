package etcd

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type loggerBuilder = func(*embed.Config) error

// newLogger hands etcd a zap logger that writes to log, from warnings up, and whose
// Panic and Fatal are faults. While quiet is set, warnings and errors are written at
// level Debug: a first start and an orderly end make etcd complain of both.
func newLogger(log *slog.Logger, quiet *atomic.Bool, f *faults) loggerBuilder {
	core := slogCore{log: log.With("component", "etcd"), quiet: quiet}
	return embed.NewZapLoggerBuilder(zap.New(core, zap.WithPanicHook(f), zap.WithFatalHook(f)))
}

// slogCore is a zapcore.Core over slog.
type slogCore struct {
	log   *slog.Logger
	quiet *atomic.Bool
}

func (c slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{log: c.log.With(attrs(fields)...), quiet: c.quiet}
}

func (c slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	switch {
	case (c.quiet.Load() || firstStart(e.Message)) && e.Level <= zapcore.ErrorLevel:
		level = slog.LevelDebug
	case e.Level >= zapcore.ErrorLevel:
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, e.Message, attrs(fields)...)
	return nil
}

// firstStart is what etcd says of every new folder, shortly after it is ready.
func firstStart(message string) bool {
	return message == "Failed to detect schema version" || message == "failed to update storage version"
}

func (c slogCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	out := make([]any, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		out = append(out, slog.Any(k, v))
	}
	return out
}
