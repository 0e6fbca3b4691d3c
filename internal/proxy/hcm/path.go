package hcm

import (
	"strconv"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

func portText(p uint16) string { return strconv.Itoa(int(p)) }

// path normalizes the request's path as configured. It returns false if it has
// answered.
func (s *session) path() bool {
	x, m := s.x, s.m
	full := x.Request.Path
	if full == "" || full[0] != '/' {
		return true
	}
	path, query := full, ""
	if i := strings.IndexByte(full, '?'); i >= 0 {
		path, query = full[:i], full[i:]
	}
	was := path
	switch m.escapedSlashes {
	case hcmv3.HttpConnectionManager_REJECT_REQUEST:
		if hasEscapedSlash(path) {
			x.Reply(400, "", "path_normalization_failed")
			return false
		}
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT, hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD:
		path = unescapeSlashes(path)
	}
	redirect := path != was && m.escapedSlashes == hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT
	if m.normalize {
		var ok bool
		if path, ok = normalize(path); !ok {
			x.Reply(400, "", "path_normalization_failed")
			return false
		}
	}
	if m.mergeSlashes {
		path = mergeSlashes(path)
	}
	if redirect {
		x.Reply(307, "", "path_normalization_failed")
		x.Response.Header.Add("location", path+query)
		return false
	}
	if path != was {
		x.Request.Path = path + query
	}
	return true
}

func hasEscapedSlash(p string) bool {
	for i := 0; i+2 < len(p); i++ {
		if p[i] == '%' && (p[i+1] == '2' && p[i+2]|0x20 == 'f' || p[i+1] == '5' && p[i+2]|0x20 == 'c') {
			return true
		}
	}
	return false
}

func unescapeSlashes(p string) string {
	if !hasEscapedSlash(p) {
		return p
	}
	b := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		if i+2 < len(p) && hasEscapedSlash(p[i:i+3]) {
			if p[i+1] == '2' {
				b = append(b, '/')
			} else {
				b = append(b, '\\')
			}
			i += 2
			continue
		}
		b = append(b, p[i])
	}
	return string(b)
}

func mergeSlashes(p string) string {
	if !strings.Contains(p, "//") {
		return p
	}
	b := make([]byte, 0, len(p))
	for i := range len(p) {
		if p[i] == '/' && len(b) > 0 && b[len(b)-1] == '/' {
			continue
		}
		b = append(b, p[i])
	}
	return string(b)
}

// normalize is Envoy's path canonicalization (RFC 3986, 6.2.2, with the WHATWG's
// view of backslashes): unreserved characters are decoded, dot segments resolved,
// what must not stand in a path is escaped. False: an escape of NUL or a broken
// one (Envoy keeps the latter; but "%%32e" would become "%2e", which whoever
// comes next reads as a dot).
func normalize(p string) (string, bool) {
	if plain(p) {
		return p, true
	}
	b := make([]byte, 0, len(p)+8)
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '%':
			if i+2 >= len(p) {
				return "", false
			}
			n, err := strconv.ParseUint(p[i+1:i+3], 16, 8)
			if err != nil || n == 0 {
				return "", false
			}
			if unreserved(byte(n)) {
				b = append(b, byte(n))
			} else {
				b = append(b, p[i:i+3]...)
			}
			i += 2
		case c == '\\':
			b = append(b, '/')
		case strings.IndexByte("|\"{}<>^`", c) >= 0 || c >= 0x7f:
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		default:
			b = append(b, c)
		}
	}
	return resolveDots(string(b)), true
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// plain tells whether normalize changes nothing.
func plain(p string) bool {
	for i := range len(p) {
		switch c := p[i]; {
		case c == '%', c == '\\', c >= 0x7f, c == '|', c == '"', c == '{', c == '}', c == '<', c == '>', c == '^', c == '`':
			return false
		case c == '.' && i > 0 && p[i-1] == '/':
			return false
		}
	}
	return true
}

// resolveDots removes "." and ".." segments (RFC 3986, 5.2.4). A segment "..;x"
// is taken for "..", as servers with path parameters do.
func resolveDots(p string) string {
	segments := strings.Split(p, "/")
	out := segments[:1]
	for i, s := range segments[1:] {
		last := i == len(segments)-2
		name, _, _ := strings.Cut(s, ";")
		switch name {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	if len(out) == 1 {
		return "/"
	}
	return strings.Join(out, "/")
}
