package format

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

const time1ms = time.Millisecond

// point is a time of a request's way, zero if it has not come.
type point func(*exchange.Exchange) time.Time

func begun(x *exchange.Exchange) time.Time      { return x.Start }
func requestEnd(x *exchange.Exchange) time.Time { return x.RequestEnd }
func sent(x *exchange.Exchange) time.Time       { return x.Sent }
func answered(x *exchange.Exchange) time.Time   { return x.Answered }
func answerEnd(x *exchange.Exchange) time.Time  { return x.AnswerEnd }

// ofUpstreamConn gives a time of the connection to the endpoint, which may be older than
// the request.
func ofUpstreamConn(get func(*exchange.UpstreamConn) time.Time) point {
	return func(x *exchange.Exchange) time.Time {
		if x.Upstream == nil {
			return time.Time{}
		}
		return get(x.Upstream)
	}
}

func replied(x *exchange.Exchange) time.Time { return x.Replied }
func ended(x *exchange.Exchange) time.Time   { return x.Ended }

// points are Envoy's names. A request goes to the upstream in one piece or is streamed as it
// comes: its first byte there is as old as its last here, at most.
var points = map[string]point{
	"DS_RX_BEG": begun, "DS_RX_END": requestEnd, "US_TX_END": sent, "US_RX_BEG": answered, "US_RX_END": answerEnd,
	"DS_TX_BEG": replied, "DS_TX_END": ended,
	"US_CX_BEG": ofUpstreamConn(func(u *exchange.UpstreamConn) time.Time { return u.Begun }),
	"US_CX_END": ofUpstreamConn(func(u *exchange.UpstreamConn) time.Time { return u.Connected }),
	"US_HS_END": ofUpstreamConn(func(u *exchange.UpstreamConn) time.Time { return u.Secured }),
}

// between is the time from one to the other.
func between(from, to point, unit time.Duration) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		f, t := from(s.X), to(s.X)
		if f.IsZero() || t.IsZero() || t.Before(f) {
			return b, missing
		}
		return strconv.AppendInt(b, int64(t.Sub(f)/unit), 10), bare
	}
}

// duration is up to now while the request goes on.
func duration(b []byte, s *Subject) ([]byte, kind) {
	end := s.X.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return strconv.AppendInt(b, int64(max(end.Sub(s.X.Start), 0)/time1ms), 10), bare
}

// commonDuration is %COMMON_DURATION(START:END:ms|us|ns)%, without a unit in ms.
func commonDuration(arg string) (operator, error) {
	p := strings.Split(arg, ":")
	switch len(p) {
	case 2:
		p = append(p, "ms")
	case 3:
	default:
		return nil, errors.New("not START:END or START:END:PRECISION")
	}
	unit := map[string]time.Duration{"ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}[p[2]]
	from, to := points[p[0]], points[p[1]]
	if unit == 0 || from == nil || to == nil {
		return nil, errors.New("no such time, or no such precision")
	}
	return between(from, to, unit), nil
}

// appendMillis is Envoy's form of a time: RFC 3339 in UTC with three digits of the second's
// fraction, without which package time makes it in a quarter of the time.
func appendMillis(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-len("Z")], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

func startTime(zone bool) func(string) (operator, error) {
	return timeOf(func(s *Subject) time.Time { return s.X.Start }, zone)
}

func emitTime(zone bool) func(string) (operator, error) {
	return timeOf(func(*Subject) time.Time { return time.Now() }, zone)
}

func timeOf(get func(*Subject) time.Time, zone bool) func(string) (operator, error) {
	return func(arg string) (operator, error) {
		steps, err := compileTime(arg, zone)
		if err != nil {
			return nil, err
		}
		return func(b []byte, s *Subject) ([]byte, kind) {
			t := get(s)
			if t.IsZero() {
				return b, missing
			}
			return appendTime(b, t, steps, zone), text
		}, nil
	}
}

// timeStep is a layout of package time, or appends what no layout can say.
type timeStep struct {
	layout string
	append func([]byte, time.Time) []byte
}

func appendTime(b []byte, t time.Time, steps []timeStep, zone bool) []byte {
	if zone {
		t = t.Local()
	} else {
		t = t.UTC()
	}
	for i := range steps {
		if steps[i].append != nil {
			b = steps[i].append(b, t)
		} else {
			b = t.AppendFormat(b, steps[i].layout)
		}
	}
	return b
}

// layouts are the specifiers of strftime that package time knows too.
var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'z': "-0700",
	'Z': "MST", 'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05",
	'R': "15:04", 'r': "03:04:05 PM", 'D': "01/02/06", 'x': "01/02/06", 'X': "15:04:05", 'c': "Mon Jan _2 15:04:05 2006",
}

// compileTime reads a format of strftime with Envoy's %s, %f and %1f to %9f.
func compileTime(format string, zone bool) (steps []timeStep, err error) {
	if format == "" {
		if zone {
			return []timeStep{{layout: "2006-01-02T15:04:05.000-07:00"}}, nil
		}
		return []timeStep{{append: appendMillis}}, nil
	}
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i != 0 {
			if i < 0 {
				i = len(format)
			}
			steps, format = append(steps, fixed(format[:i])), format[i:]
			continue
		}
		digits := 9
		format = format[1:]
		if len(format) > 1 && format[0] >= '1' && format[0] <= '9' && format[1] == 'f' {
			digits, format = int(format[0]-'0'), format[1:]
		}
		if format == "" {
			return nil, errors.New("ends in %")
		}
		c := format[0]
		format = format[1:]
		switch {
		case c == '%':
			steps = append(steps, fixed("%"))
		case c == 't':
			steps = append(steps, fixed("\t"))
		case c == 's':
			steps = append(steps, timeStep{append: func(b []byte, t time.Time) []byte { return strconv.AppendInt(b, t.Unix(), 10) }})
		case c == 'f':
			steps = append(steps, fraction(digits))
		case c == 'u':
			steps = append(steps, timeStep{append: func(b []byte, t time.Time) []byte {
				return strconv.AppendInt(b, int64((t.Weekday()+6)%7+1), 10)
			}})
		case c == 'w':
			steps = append(steps, timeStep{append: func(b []byte, t time.Time) []byte { return strconv.AppendInt(b, int64(t.Weekday()), 10) }})
		case layouts[c] != "":
			steps = append(steps, timeStep{layout: layouts[c]})
		default:
			return nil, fmt.Errorf("%%%c in the form of a time is not known", c)
		}
	}
	return steps, nil
}

func fixed(s string) timeStep {
	return timeStep{append: func(b []byte, _ time.Time) []byte { return append(b, s...) }}
}

func fraction(digits int) timeStep {
	return timeStep{append: func(b []byte, t time.Time) []byte {
		from := len(b)
		b = strconv.AppendInt(b, 1e9+int64(t.Nanosecond()), 10) // 1 and nine digits
		return b[:from+copy(b[from:], b[from+1:from+1+digits])]
	}}
}
