package csrf

import (
	"net/netip"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// origin is where a request comes from.
type origin struct {
	text   string // host and port of a URL, or the whole of what is none; "" if nothing is told
	whole  bool   // the latter
	scheme string // of the request
}

// source gives what Origin tells, or else Referer. Several fields of a name are one whose
// values are joined, as Envoy has them. Where a browser hides the origin it is "null",
// which tells nothing; a Referer that is a bad URL, or has userinfo or a fragment, which
// no browser sends, is as none.
func source(h *exchange.Header) origin {
	if v := value(h, "origin"); v == "null" {
		return origin{}
	} else if v != "" {
		if host, ok := hostOfURL(v); ok {
			return origin{text: host}
		}
		return origin{text: v, whole: true}
	}
	v := value(h, "referer")
	_, rest, absolute := strings.Cut(v, "://")
	if !absolute {
		if strings.ContainsFunc(v, unprintable) || strings.ContainsAny(v, ":#") {
			return origin{}
		}
		return origin{text: v, whole: true}
	}
	host, ok := hostOfURL(v)
	_, fragment, _ := strings.Cut(rest, "#")
	if !ok || len(strings.TrimSuffix(authority(rest), host)) > len("@") || strings.TrimLeft(fragment, "#") != "" {
		return origin{}
	}
	return origin{text: host}
}

func value(h *exchange.Header, name string) string {
	if h.Count(name) < 2 {
		return h.Get(name)
	}
	var all []string
	for _, f := range h.Fields() {
		if f.Name == name && f.Value != "" {
			all = append(all, f.Value)
		}
	}
	return strings.Join(all, ",")
}

// permits tells whether the origin is the target, or one of those allowed besides.
func (p *policy) permits(from origin, target string) bool {
	if from.text == "" {
		return false
	}
	if host, ok := hostOf(target); ok {
		if from.text == host {
			return true
		}
	} else if scheme, rest, _ := strings.Cut(from.text, "://"); scheme == from.scheme && rest == target {
		return true // neither is a URL, and they are alike
	}
	if from.whole && hasPath(from.text) {
		return false // whoever is not allowed could name in a path what is
	}
	for _, is := range p.additional {
		if is(from.text) {
			return true
		}
	}
	return false
}

// hasPath tells whether there is more than an origin in what is no URL.
func hasPath(s string) bool {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	return strings.ContainsAny(s, "/?#")
}

// hostOfURL gives host and port of an absolute URL (RFC 3986) as they stand there, if it
// is one.
func hostOfURL(s string) (string, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || !letter(rune(scheme[0])) ||
		strings.ContainsFunc(scheme, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune("+-.", r) }) {
		return "", false
	}
	return hostOf(rest)
}

// authority gives what stands before path and query.
func authority(s string) string {
	if i := strings.IndexAny(s, "/?"); i >= 0 {
		return s[:i]
	}
	return s
}

// hostOf gives host and port of what follows a scheme.
func hostOf(s string) (string, bool) {
	host := authority(s)
	if strings.ContainsFunc(s[len(host):], unprintable) {
		return "", false
	}
	if user, rest, ok := strings.Cut(host, "@"); ok {
		if strings.ContainsFunc(user, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune("-_.!~*'()%;:&=+$,", r) }) {
			return "", false
		}
		host = rest
	}
	name, port := host, ""
	if strings.HasPrefix(host, "[") {
		i := strings.IndexByte(host, ']')
		if i < 0 {
			return "", false
		}
		if a, err := netip.ParseAddr(host[1:i]); err != nil || !a.Is6() {
			return "", false
		}
		name, port = "", host[i+1:]
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		name, port = host[:i], host[i:]
	}
	if name == "" && !strings.HasPrefix(host, "[") || strings.ContainsFunc(name, func(r rune) bool { return !alphanumeric(r) && r != '.' && r != '-' }) {
		return "", false
	}
	return host, port == "" || validPort(port)
}

// validPort judges ":80".
func validPort(s string) bool {
	if len(s) < 2 || s[0] != ':' {
		return false
	}
	n := 0
	for _, r := range s[1:] {
		if r < '0' || r > '9' {
			return false
		}
		if n = 10*n + int(r-'0'); n > 0xffff {
			return false
		}
	}
	return true
}

func unprintable(r rune) bool  { return r <= ' ' || r >= 0x7f }
func letter(r rune) bool       { return 'a' <= r|0x20 && r|0x20 <= 'z' }
func alphanumeric(r rune) bool { return letter(r) || '0' <= r && r <= '9' }
