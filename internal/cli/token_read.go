package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

// readToken gives the token of an argument, or of in if it is "-". White space
// around it and "Bearer " before it, as they are copied along, do not count.
func readToken(arg string, in io.Reader) (string, error) {
	if arg == "-" {
		b, err := io.ReadAll(io.LimitReader(in, 4*jose.MaxTokenSize))
		if err != nil {
			return "", fmt.Errorf("standard input: %w", err)
		}
		arg = string(b)
	}
	arg = strings.TrimSpace(arg)
	if s, ok := strings.CutPrefix(arg, "Bearer "); ok {
		arg = strings.TrimSpace(s)
	}
	if arg == "" {
		return "", Exit(exitMisuse, errors.New("the token is empty"))
	}
	return arg, nil
}

// printable gives text of a token for a terminal: what is not graphic is escaped.
func printable(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// moment says a NumericDate in words: when, and how far from now.
func moment(sec uint64, now time.Time) string {
	if sec > math.MaxInt32*100 {
		return "in the very far future"
	}
	t := time.Unix(int64(sec), 0).UTC()
	d := t.Sub(now)
	if sec > 1<<33 { // beyond what a Duration holds
		return t.Format(time.DateTime) + " UTC, in " + words(sec-uint64(max(now.Unix(), 0)))
	}
	switch s := uint64(d.Abs() / time.Second); {
	case s == 0:
		return t.Format(time.DateTime) + " UTC, now"
	case d < 0:
		return t.Format(time.DateTime) + " UTC, " + words(s) + " ago"
	default:
		return t.Format(time.DateTime) + " UTC, in " + words(s)
	}
}

// words says a span of seconds by its largest unit and the next smaller one.
func words(sec uint64) string {
	units := []struct {
		name string
		sec  uint64
	}{{"year", 365 * 86400}, {"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}}
	var parts []string
	for _, u := range units {
		n := sec / u.sec
		sec %= u.sec
		if n == 0 && len(parts) == 0 {
			continue
		}
		switch n {
		case 0:
		case 1:
			parts = append(parts, "1 "+u.name)
		default:
			parts = append(parts, strconv.FormatUint(n, 10)+" "+u.name+"s")
		}
		if n == 0 || len(parts) == 2 {
			break
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts, " ")
}
