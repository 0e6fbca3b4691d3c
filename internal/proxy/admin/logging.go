package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// levels are Envoy's, in their order. Off is above everything that is logged.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"trace", slog.LevelDebug - 4}, {"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warning", slog.LevelWarn},
	{"error", slog.LevelError}, {"critical", slog.LevelError + 4}, {"off", slog.LevelError + 1000},
}

func levelNames() (out []string) {
	for _, l := range levels {
		out = append(out, l.name)
	}
	return out
}

// Level gives the level of that name.
func Level(name string) (slog.Level, bool) {
	for _, l := range levels {
		if l.name == name {
			return l.level, true
		}
	}
	return 0, false
}

// LevelName gives Envoy's name of a level.
func LevelName(l slog.Level) string {
	for _, x := range levels {
		if l <= x.level {
			return x.name
		}
	}
	return "off"
}

// logging shows the levels, after it has set those that the query names: all (level), one
// by its name, or several (paths).
func (s *server) logging(w http.ResponseWriter, r *http.Request) {
	if err := s.setLevels(r); err != nil {
		var b strings.Builder
		fmt.Fprintf(&b, "error: %v\n\n", err)
		b.WriteString("usage: /logging?<name>=<level> (change single level)\n")
		b.WriteString("usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n")
		b.WriteString("usage: /logging?level=<level> (change all levels)\n")
		b.WriteString("levels: " + strings.Join(levelNames(), " ") + " \n")
		fail(w, http.StatusBadRequest, b.String()+s.activeLoggers())
		return
	}
	text(w, s.activeLoggers())
}

func (s *server) activeLoggers() string {
	var b strings.Builder
	b.WriteString("active loggers:\n")
	for _, n := range s.o.Loggers.Names() {
		fmt.Fprintf(&b, "  %s: %s\n", n, LevelName(s.o.Loggers.Level(n)))
	}
	return b.String() + "\n"
}

func (s *server) setLevels(r *http.Request) error {
	q := r.URL.Query()
	if len(q) == 0 {
		return nil
	}
	if len(q) > 1 {
		return fmt.Errorf("invalid number of parameters")
	}
	names := s.o.Loggers.Names()
	set := map[string]slog.Level{}
	put := func(name, level string) error {
		l, known := Level(level)
		switch {
		case !known:
			return fmt.Errorf("unknown logger level")
		case !slices.Contains(names, name):
			return fmt.Errorf("unknown logger name")
		}
		set[name] = l
		return nil
	}
	for key := range q {
		value := q.Get(key)
		var pairs []string
		switch key {
		case "level":
			for _, n := range names {
				pairs = append(pairs, n+":"+value)
			}
		case "paths":
			pairs = strings.Split(value, ",")
		default:
			pairs = []string{key + ":" + value}
		}
		for _, p := range pairs {
			name, level, ok := strings.Cut(p, ":")
			if !ok || name == "" {
				return fmt.Errorf("empty logger name or empty logger level")
			}
			if err := put(name, level); err != nil {
				return err
			}
		}
	}
	for n, l := range set {
		s.o.Loggers.SetLevel(n, l)
	}
	return nil
}
