package http1

import (
	"encoding/binary"
	"unsafe"
)

// Classes of bytes (RFC 9110, 5.6.2; RFC 3986).
const (
	tokenByte  = 1 << iota // tchar
	upperByte              // A to Z
	valueByte              // field-vchar, SP, HTAB, obs-text
	targetByte             // visible ASCII but "#": what a request target may hold
	hostByte               // reg-name, IP literal, port
)

var class = makeClasses()

func makeClasses() (t [256]uint8) {
	for c := range 256 {
		b := byte(c)
		alnum := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if alnum || in(b, "!#$%&'*+-.^_`|~") {
			t[c] |= tokenByte
		}
		if b >= 'A' && b <= 'Z' {
			t[c] |= upperByte
		}
		if b >= 0x20 && b != 0x7f || b == '\t' {
			t[c] |= valueByte
		}
		if b > 0x20 && b < 0x7f && b != '#' {
			t[c] |= targetByte
		}
		if alnum || in(b, "-._~!$&'()*+,;=%:[]") {
			t[c] |= hostByte
		}
	}
	return t
}

func in(b byte, s string) bool {
	for i := range len(s) {
		if s[i] == b {
			return true
		}
	}
	return false
}

func all(b []byte, c uint8) bool {
	for _, x := range b {
		if class[x]&c == 0 {
			return false
		}
	}
	return true
}

// values tells whether s holds bytes of a field's value alone (valueByte): no control
// characters but HTAB. It looks at eight bytes at a time, whose borrows can only make
// it look at them one by one.
func values(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		del := w ^ 0x7f*ones
		if ((w-0x20*ones)&^w|(del-ones)&^del)&tops != 0 && !all(b[:8], valueByte) {
			return false
		}
		b = b[8:]
	}
	return all(b, valueByte)
}

// lower turns b to lower case in place and tells whether it is a token.
func lowerToken(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for i, x := range b {
		c := class[x]
		if c&tokenByte == 0 {
			return false
		}
		if c&upperByte != 0 {
			b[i] = x | 0x20
		}
	}
	return true
}

// view gives b as a string without a copy: it holds as long as b is unchanged.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// trim cuts optional white space (SP, HTAB) on both sides.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares ASCII; lower is in lower case.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if class[c]&upperByte != 0 {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// next cuts the first element of a comma-separated list, without white space.
func next(list string) (elem, rest string) {
	i := 0
	for i < len(list) && list[i] != ',' {
		i++
	}
	elem = list[:i]
	if i < len(list) {
		rest = list[i+1:]
	}
	for len(elem) > 0 && (elem[0] == ' ' || elem[0] == '\t') {
		elem = elem[1:]
	}
	for len(elem) > 0 && (elem[len(elem)-1] == ' ' || elem[len(elem)-1] == '\t') {
		elem = elem[:len(elem)-1]
	}
	return elem, rest
}

// ValidAuthority tells whether s is host or host:port as a Host field may hold it
// (RFC 9110, 7.2): not empty, no userinfo, brackets only around an IP literal, a
// port of digits up to 65535.
func ValidAuthority(s string) bool {
	if s == "" || len(s) > 512 {
		return false
	}
	host, port, hasPort := s, "", false
	if s[0] == '[' {
		end := -1
		for i := 1; i < len(s); i++ {
			c := s[i]
			if c == ']' {
				end = i
				break
			}
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c == ':' || c == '.') {
				return false
			}
		}
		if end < 3 {
			return false
		}
		rest := s[end+1:]
		if rest == "" {
			return true
		}
		if rest[0] != ':' {
			return false
		}
		host, port, hasPort = "ip", rest[1:], true
	} else {
		for i := range len(s) {
			if s[i] == ':' {
				host, port, hasPort = s[:i], s[i+1:], true
				break
			}
		}
	}
	if host == "" {
		return false
	}
	for i := range len(host) {
		if c := host[i]; class[c]&hostByte == 0 || c == ':' || c == '[' || c == ']' || c == '%' && !hexAt(host, i+1) {
			return false
		}
	}
	if !hasPort {
		return true
	}
	n := 0
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
		if n = n*10 + int(port[i]-'0'); n > 65535 {
			return false
		}
	}
	return port != ""
}

func hexAt(s string, i int) bool { return i+1 < len(s) && unhex(s[i]) >= 0 && unhex(s[i+1]) >= 0 }

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// The following say what HTTP/2, whose messages may go on as HTTP/1.1, takes.

// ValidMethod tells whether s is a method that this codec takes. Custom: any token is.
func ValidMethod(s string, custom bool) bool {
	return s != "" && len(s) <= 64 && allOf(s, tokenByte, 0) && (custom || registered(s))
}

// ValidName tells whether s is a field name in lower case.
func ValidName(s string) bool { return s != "" && allOf(s, tokenByte, upperByte) }

// ValidValue tells whether s is a field value.
func ValidValue(s string) bool { return allOf(s, valueByte, 0) }

// ValidTarget tells whether the bytes of s may stand in a request target.
func ValidTarget(s string) bool { return s != "" && allOf(s, targetByte, 0) }

// ValidLength gives the value of a Content-Length field.
func ValidLength(s string) (int64, bool) {
	n, err := parseLength(s)
	return n, err == nil
}

// ValidTrailer tells whether a field of that name may stand in a trailer section.
func ValidTrailer(name string) bool { return trailerAllowed(name) }

func allOf(s string, yes, no uint8) bool {
	for i := range len(s) {
		if c := class[s[i]]; c&yes == 0 || c&no != 0 {
			return false
		}
	}
	return true
}
