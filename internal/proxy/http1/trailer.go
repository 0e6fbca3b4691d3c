package http1

import "strings"

// trailerAllowed tells whether a field may stand in a trailer section. Framing,
// routing, credentials and what the proxy itself asserts may not (RFC 9110,
// 6.5.1): filters have judged the request before its trailers come, and a
// recipient that merges them would believe what nobody has checked.
func trailerAllowed(name string) bool {
	switch name {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection",
		"te", "trailer", "upgrade", "expect", "max-forwards", "range", "cache-control",
		"content-encoding", "content-type", "content-range",
		"authorization", "proxy-authorization", "proxy-authenticate", "www-authenticate",
		"cookie", "set-cookie", "forwarded":
		return false
	}
	return !strings.HasPrefix(name, "x-forwarded-") && !strings.HasPrefix(name, "x-envoy-")
}
