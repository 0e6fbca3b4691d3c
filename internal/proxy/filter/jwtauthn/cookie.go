package jwtauthn

import (
	"iter"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// cookies gives the cookies of a request in their order, less quotes around the
// values (RFC 6265, 4.1.1).
func cookies(x *exchange.Exchange) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range x.Request.Header.Fields() {
			if f.Name != "cookie" {
				continue
			}
			for rest, more := f.Value, true; more; {
				var pair string
				pair, rest, more = strings.Cut(rest, ";")
				name, value, _ := strings.Cut(trim(pair), "=")
				if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
					value = value[1 : n-1]
				}
				if !yield(trim(name), trim(value)) {
					return
				}
			}
		}
	}
}

// removeCookie takes all cookies of the name out of the request and leaves the
// others as they are.
func removeCookie(x *exchange.Exchange, name string) {
	fields := x.Request.Header.Fields()
	for i := range fields {
		if fields[i].Name != "cookie" {
			continue
		}
		var kept []string
		for _, pair := range strings.Split(fields[i].Value, ";") {
			if n, _, _ := strings.Cut(trim(pair), "="); trim(n) != name {
				kept = append(kept, trim(pair))
			}
		}
		fields[i].Value = strings.Join(kept, "; ")
	}
	x.Request.Header.DelFunc(func(f exchange.Field) bool { return f.Name == "cookie" && f.Value == "" })
}
