package jwtauthn

import (
	"errors"
	"log/slog"
	"strconv"
	"sync"

	"github.com/usher-mesh/usher/internal/jose"
)

// maxRefusals bounds the log lines of one filter in a second.
const maxRefusals = 10

// maxShown bounds text of a token in a log line, in bytes.
const maxShown = 128

// refusalLog says why requests were refused, at a bounded rate, and how many
// lines it left out. It shows issuer, kid and alg of a token, never more.
type refusalLog struct {
	log    *slog.Logger
	filter string

	mu      sync.Mutex
	second  int64
	lines   int
	dropped uint64
}

func (l *refusalLog) say(r *request, err error) {
	dropped, ok := l.turn(r.now.Unix())
	if !ok {
		return
	}
	attrs := []any{"filter", l.filter, "status", jose.KindOf(err).String()}
	var e *jose.Error
	if errors.As(err, &e) && e.Detail != "" {
		attrs = append(attrs, "reason", e.Detail)
	}
	var f *refusal
	if errors.As(err, &f) && f.provider != nil {
		attrs = append(attrs, "provider", f.provider.name)
	}
	if f != nil && f.token != nil {
		attrs = append(attrs, "issuer", escaped(f.token.Issuer), "kid", escaped(f.token.KeyID), "alg", string(f.token.Alg))
	}
	if dropped > 0 {
		attrs = append(attrs, "dropped", dropped)
	}
	l.log.Info("request refused", attrs...)
}

// turn tells whether a line may be written in this second, and how many were
// not since the last one that was.
func (l *refusalLog) turn(second int64) (dropped uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second != l.second {
		l.second, l.lines = second, 0
	}
	if l.lines >= maxRefusals {
		l.dropped++
		return 0, false
	}
	l.lines++
	dropped, l.dropped = l.dropped, 0
	return dropped, true
}

func escaped(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown]
	}
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}
