package redact

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// always are fields whose values are never shown, whether a filter declared them or
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

// Header gives the value of a field of the request or the response as it may be
// shown. Name is in lower case.
func Header(x *exchange.Exchange, name, value string) string {
	switch {
	case secretHeader(x, name):
		return Redacted
	case name == ":path" || name == "referer" || name == "x-envoy-original-path" || name == "x-original-url":
		return Query(value, x.Secrets())
	case name == "location":
		value, _, _ = strings.Cut(value, "?") // a redirect repeats the request's parameters
	}
	return Tokens(value)
}
