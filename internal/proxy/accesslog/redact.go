package accesslog

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/route"
)

const redacted = "[redacted]"

// always are fields whose values no log shows, whether a filter declared them or
// not.
func always(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "set-cookie":
		return true
	}
	return false
}

func secretHeader(x *exchange.Exchange, name string) bool {
	if always(name) {
		return true
	}
	for _, s := range x.Secrets() {
		if s.Kind == exchange.SecretHeader && strings.EqualFold(s.Name, name) {
			return true
		}
	}
	return false
}

// requestField gives a field or pseudo-header of the request as it may be shown.
func requestField(e *Entry, name string) value {
	x := e.X
	switch name {
	case ":method":
		return text(x.Request.Method)
	case ":authority", "host":
		return text(x.Request.Authority)
	case ":scheme":
		return text(x.Request.Scheme)
	case ":path":
		return text(route.RedactQuery(x.Request.Path, x.Secrets()))
	case "x-request-id":
		if e.RequestID != "" {
			return text(e.RequestID)
		}
	}
	v, ok := x.Request.Header.Lookup(name)
	switch {
	case !ok:
		return missing()
	case secretHeader(x, name):
		return text(redacted)
	case name == "referer" || name == "x-envoy-original-path" || name == "x-original-url":
		return text(route.RedactQuery(v, x.Secrets()))
	}
	return value{text: route.RedactTokens(v)}
}

func responseField(h *exchange.Header, name string) value {
	v, ok := h.Lookup(name)
	switch {
	case !ok:
		return missing()
	case always(name):
		return text(redacted)
	case name == "location":
		v, _, _ = strings.Cut(v, "?") // a redirect repeats the request's parameters
	}
	return value{text: route.RedactTokens(v)}
}
