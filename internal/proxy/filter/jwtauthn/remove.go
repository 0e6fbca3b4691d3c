package jwtauthn

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// remove takes a token's place out of the request, so that it goes no further. A
// cookie stays, as JwtProvider.forward has it.
func (l location) remove(x *exchange.Exchange) {
	switch l.kind {
	case exchange.SecretHeader:
		x.Request.Header.Del(l.name)
	case exchange.SecretParam:
		x.Request.Path = removeParam(x.Request.Path, l.name)
	}
}

// removeParam takes all parameters of the name out of a path's query and leaves
// the others byte for byte.
func removeParam(path, name string) string {
	head, query, ok := strings.Cut(path, "?")
	if !ok {
		return path
	}
	var kept []string
	for _, pair := range strings.Split(query, "&") {
		if n, _, _ := strings.Cut(pair, "="); match.Unescape(n) != name {
			kept = append(kept, pair)
		}
	}
	if query = strings.Join(kept, "&"); query == "" {
		return head
	}
	return head + "?" + query
}
