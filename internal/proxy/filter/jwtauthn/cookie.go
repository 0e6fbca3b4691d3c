package jwtauthn

import (
	"iter"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// cookies gives the cookies of a request in their order, less quotes around the
// values (RFC 6265, 4.1.1). Spaces around names and values are trimmed, as many a
// server does. What has no = is none.
func cookies(x *exchange.Exchange) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range x.Request.Header.Fields() {
			if f.Name != "cookie" {
				continue
			}
			for rest, more := f.Value, true; more; {
				var pair string
				pair, rest, more = strings.Cut(rest, ";")
				name, value, ok := strings.Cut(trim(pair), "=")
				if !ok {
					continue
				}
				value = trim(value)
				if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
					value = value[1 : n-1]
				}
				if !yield(trim(name), value) {
					return
				}
			}
		}
	}
}
