package hcm

import (
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/route"
)

// timeouts are the route's for the whole answer and for the stream, as far as a gRPC
// client may not say others (max_grpc_timeout, grpc_timeout_header_max). 0: none.
func (s *session) timeouts(f *route.Forward) (answer, stream time.Duration) {
	answer, stream = f.Timeout, f.MaxDuration
	if f.GRPCTimeout < 0 && f.GRPCStream < 0 || !match.GRPC(s.x) {
		return answer, stream
	}
	asked, ok := grpcTimeout(s.x.Request.Header.Get("grpc-timeout"))
	if f.GRPCTimeout >= 0 { // without the header none at all
		answer = atMost(asked, f.GRPCTimeout)
	}
	if f.GRPCStream >= 0 && ok {
		stream = atMost(asked, f.GRPCStream)
	}
	return answer, stream
}

// atMost bounds a time, of which 0 is no bound.
func atMost(d, most time.Duration) time.Duration {
	if most > 0 && (d == 0 || d > most) {
		return most
	}
	return d
}

// inGRPC gives a time in the header's form.
func inGRPC(d time.Duration) string {
	const most = 99_999_999
	n, unit := d.Milliseconds(), "m"
	if n > most {
		n, unit = n/1000, "S"
	}
	if n > most {
		n, unit = n/60, "M"
	}
	return strconv.FormatInt(n, 10) + unit
}

// grpcTimeout reads the header: up to eight digits and a unit (gRPC's PROTOCOL-HTTP2.md).
func grpcTimeout(s string) (time.Duration, bool) {
	last := len(s) - 1
	if last < 1 || last > 8 {
		return 0, false
	}
	var unit time.Duration
	switch s[last] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n := time.Duration(0)
	for _, c := range []byte(s[:last]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + time.Duration(c-'0')
	}
	const most = 10 * 365 * 24 * time.Hour
	if n > most/unit {
		return most, true
	}
	return max(n*unit, 1), true // 0 has passed already; it is not "none"
}
