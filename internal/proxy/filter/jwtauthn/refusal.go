package jwtauthn

import (
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

const (
	// maxRefusals bounds the log lines of one filter in a second.
	maxRefusals = 10
	// maxShown bounds text of a token in a log line, in bytes.
	maxShown = 128
	// maxReason bounds why it was refused, in bytes.
	maxReason = 512
)

// refusalLog says why requests were refused: a line each at a bounded rate, and
// once a second how many had none. Of a token it shows issuer, kid and alg, never
// more.
type refusalLog struct {
	log    *slog.Logger
	filter string

	mu      sync.Mutex
	second  int64
	lines   int
	dropped uint64
	report  *time.Timer // runs while dropped is not 0
}

// say writes the line of a token that is missing or bad.
func (l *refusalLog) say(now time.Time, err error) {
	if !l.turn(now.Unix()) {
		return
	}
	attrs := []any{"status", jose.KindOf(err).String()}
	var e *jose.Error
	if errors.As(err, &e) && e.Detail != "" {
		attrs = append(attrs, "reason", cut(e.Detail, maxReason))
	}
	var f *refusal
	if errors.As(err, &f) {
		if f.provider != nil {
			attrs = append(attrs, "provider", f.provider.name)
		}
		if f.token != nil {
			attrs = append(attrs, "issuer", escaped(f.token.Issuer), "kid", escaped(f.token.KeyID), "alg", string(f.token.Alg))
		}
	}
	l.write(attrs...)
}

// sayOther writes the line of a request that is refused although no token is bad.
func (l *refusalLog) sayOther(now time.Time, status string) {
	if l.turn(now.Unix()) {
		l.write("status", status)
	}
}

func (l *refusalLog) write(attrs ...any) {
	l.log.Info("request refused", append([]any{"filter", l.filter}, attrs...)...)
}

// turn tells whether a line may be written in this second, and counts it if not.
func (l *refusalLog) turn(second int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second != l.second {
		l.second, l.lines = second, 0
	}
	if l.lines < maxRefusals {
		l.lines++
		return true
	}
	if l.dropped++; l.report == nil {
		l.report = time.AfterFunc(time.Second, l.flush)
	}
	return false
}

// flush says how many requests had no line.
func (l *refusalLog) flush() {
	l.mu.Lock()
	n := l.dropped
	l.dropped = 0
	if l.report != nil {
		l.report.Stop()
		l.report = nil
	}
	l.mu.Unlock()
	if n > 0 {
		l.log.Info("requests refused, too many for a line each", "filter", l.filter, "dropped", n)
	}
}

func escaped(s string) string {
	q := strconv.QuoteToASCII(cut(s, maxShown))
	return q[1 : len(q)-1]
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
