package hcm

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func (m *Manager) serverHeader(h *exchange.Header) {
	switch m.serverMode {
	case hcmv3.HttpConnectionManager_PASS_THROUGH:
		return
	case hcmv3.HttpConnectionManager_APPEND_IF_ABSENT:
		if _, ok := h.Lookup("server"); ok {
			return
		}
	}
	h.Set("server", m.server)
}

// now gives the Date of responses, made once a second.
func (s *session) now() string {
	t := time.Now()
	if u := t.Unix(); u != s.dateAt {
		s.dateAt, s.date = u, t.UTC().Format(http.TimeFormat)
	}
	return s.date
}

// grpcStatus maps an HTTP status (gRPC's http-grpc-status-mapping.md).
func grpcStatus(status int) int {
	switch status {
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return 14
	}
	return 2
}

// grpcReply turns a local reply into gRPC's trailers-only form: they stand in
// the head of an HTTP 200.
func grpcReply(x *exchange.Exchange, message string) {
	h := &x.Response.Header
	h.Set("content-type", "application/grpc")
	code, ok := x.LocalGRPC()
	if !ok {
		code = grpcStatus(x.Response.Status)
	}
	h.Set("grpc-status", strconv.Itoa(code))
	if message = strings.TrimSuffix(message, "\n"); message != "" { // of JSON
		h.Set("grpc-message", grpcEscape(message))
	}
	x.Response.Status = 200
}

// grpcEscape is gRPC's percent-encoding of Status-Message.
func grpcEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '%' {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// deadline bounds how long from now on a client may read nothing; 0: no bound.
func (s *session) deadline(now time.Time, idle time.Duration) {
	s.nc.SetWriteDeadline(after(now, idle))
}

// after gives the time after d; none, which also ends an earlier bound, if d is 0.
func after(now time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d)
}
