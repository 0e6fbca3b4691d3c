package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
)

// loggers are the parts' own loggers, by Envoy's names of them. Each has its level, which
// can be changed while it is used; all write to one handler.
type loggers struct {
	to     slog.Handler
	levels map[string]*slog.LevelVar
}

// The names of loggers.
const (
	logAdmin     = "admin"
	logConfig    = "config"       // resources and where they come from
	logHandler   = "conn_handler" // listeners, connections, requests and their filters
	logJWT       = "jwt"          // key sets and tokens
	logExtAuthz  = "ext_authz"
	logRateLimit = "filter"
	logMain      = "main"
	logSecret    = "secret" // the proxy's own identity
	logUpstreams = "upstream"
)

func newLoggers(to slog.Handler, level slog.Level) *loggers {
	l := &loggers{to, map[string]*slog.LevelVar{}}
	for _, n := range []string{logAdmin, logConfig, logHandler, logJWT, logExtAuthz, logMain, logRateLimit, logSecret, logUpstreams} {
		l.levels[n] = new(slog.LevelVar)
		l.levels[n].Set(level)
	}
	return l
}

// of gives the logger of that name.
func (l *loggers) of(name string) *slog.Logger { return slog.New(leveled{l.to, l.levels[name]}) }

// Names implements admin.Loggers.
func (l *loggers) Names() []string { return slices.Sorted(maps.Keys(l.levels)) }

// Level implements admin.Loggers.
func (l *loggers) Level(name string) slog.Level { return l.levels[name].Level() }

// SetLevel implements admin.Loggers.
func (l *loggers) SetLevel(name string, level slog.Level) { l.levels[name].Set(level) }

// leveled is a handler of what is at a level or above it.
type leveled struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled implements slog.Handler.
func (h leveled) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level.Level() && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h leveled) WithAttrs(a []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(a), h.level}
}

// WithGroup implements slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
