package format

import (
	"errors"
	"strconv"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/redact"
)

// requestField gives a field or pseudo-header of the request.
func requestField(s *Subject, name string) (string, bool) {
	r := &s.X.Request
	var v string
	switch name {
	case ":method":
		v = r.Method
	case ":authority", "host":
		v = r.Authority
	case ":scheme":
		v = r.Scheme
	case ":path":
		v = r.Path
	case "x-request-id":
		if v = s.X.RequestID; v == "" {
			v = r.Header.Get(name)
		}
	default:
		v, ok := r.Header.Lookup(name)
		return s.may(name, v), ok
	}
	return s.may(name, v), v != ""
}

func responseField(s *Subject, name string) (string, bool) {
	if name == ":status" {
		return strconv.Itoa(s.X.Response.Status), s.X.Response.Status != 0
	}
	v, ok := s.X.Response.Header.Lookup(name)
	return s.may(name, v), ok
}

func trailerField(s *Subject, name string) (string, bool) {
	v, ok := s.X.Response.Trailer.Lookup(name)
	return s.may(name, v), ok
}

// may gives of a field's value what the subject may give.
func (s *Subject) may(name, value string) string {
	shown := redact.Header(s.X, name, value)
	if !s.Bare {
		return shown
	}
	s.Secret = s.Secret || shown != value
	return value
}

type field func(s *Subject, name string) (string, bool)

// named reads the argument "main?alternative".
func (get field) named(arg string, change func(string) string) (operator, error) {
	main, alt, _ := strings.Cut(strings.ToLower(arg), "?")
	if main == "" || strings.ContainsAny(arg, "\r\n\x00") || strings.Contains(alt, "?") {
		return nil, errors.New("not the name of a field, and perhaps of another")
	}
	return func(b []byte, s *Subject) ([]byte, kind) {
		v, ok := get(s, main)
		if !ok && alt != "" {
			v, ok = get(s, alt)
		}
		if !ok {
			return b, missing
		}
		return append(b, change(v)...), text
	}, nil
}

func same(v string) string         { return v }
func withoutQuery(v string) string { v, _, _ = strings.Cut(v, "?"); return v }

func requestHeader(arg string) (operator, error)   { return field(requestField).named(arg, same) }
func responseHeader(arg string) (operator, error)  { return field(responseField).named(arg, same) }
func responseTrailer(arg string) (operator, error) { return field(trailerField).named(arg, same) }
func requestHeaderWithoutQuery(arg string) (operator, error) {
	return field(requestField).named(arg, withoutQuery)
}

// bytesOf counts names and values, as Envoy keeps them.
func bytesOf(h *exchange.Header) (n int64) {
	for _, f := range h.Fields() {
		n += int64(len(f.Name) + len(f.Value))
	}
	return n
}

func requestHeadersBytes(s *Subject) int64 {
	r := &s.X.Request
	n := bytesOf(&r.Header)
	for _, p := range [4][2]string{{":method", r.Method}, {":path", r.Path}, {":authority", r.Authority}, {":scheme", r.Scheme}} {
		if p[1] != "" {
			n += int64(len(p[0]) + len(p[1]))
		}
	}
	return n
}

func responseHeadersBytes(s *Subject) int64 {
	if s.X.Response.Status == 0 {
		return 0
	}
	return bytesOf(&s.X.Response.Header) + int64(len(":status200"))
}

func responseTrailersBytes(s *Subject) int64 { return bytesOf(&s.X.Response.Trailer) }
