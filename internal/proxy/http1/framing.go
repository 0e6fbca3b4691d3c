package http1

import (
	"unsafe"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// special notes fields that concern framing or the connection. It tells whether
// the field is also passed on.
func (f *framing) special(name, value string) (keep bool, err error) {
	switch len(name) {
	case 2:
		if name == "te" {
			for e, rest := next(value); ; e, rest = next(rest) {
				f.trailers = f.trailers || equalFold(e, "trailers")
				if rest == "" {
					return false, nil
				}
			}
		}
	case 4:
		if name == "host" {
			f.hosts++
			f.host = value
			return false, nil
		}
	case 6:
		if name == "expect" {
			if !equalFold(value, "100-continue") {
				return false, errExpect
			}
			f.expect = true
			return false, nil
		}
	case 7:
		if name == "upgrade" {
			if f.proto != "" {
				return false, errUpgrade
			}
			f.proto = lowerInPlace(value)
			return false, nil
		}
	case 10:
		switch name {
		case "connection":
			return false, f.connection(value)
		case "keep-alive":
			return false, nil
		}
	case 14:
		if name == "content-length" {
			if f.lengths++; f.lengths > 1 {
				return false, errLengths
			}
			f.length, err = parseLength(value)
			return true, err
		}
	case 16:
		if name == "proxy-connection" {
			return false, nil
		}
	case 17:
		if name == "transfer-encoding" {
			f.codings++
			f.chunked = equalFold(value, "chunked")
			return false, nil
		}
	}
	return true, nil
}

// connection notes the options of a Connection field (RFC 9110, 7.6.1).
func (f *framing) connection(value string) error {
	value = lowerInPlace(value)
	for rest := value; rest != ""; {
		var e string
		e, rest = next(rest)
		switch e {
		case "":
		case "close":
			f.close = true
		case "keep-alive":
			f.keepAlive = true
		case "upgrade":
			f.upgrade = true
		default:
			for i := range len(e) {
				if class[e[i]]&tokenByte == 0 {
					return errName
				}
			}
			f.names = true
		}
	}
	if f.names {
		if f.nconn == len(f.conn) {
			return errFieldCount
		}
		f.conn[f.nconn] = value
		f.nconn++
	}
	return nil
}

// named tells whether a Connection field names the field.
func (f *framing) named(name string) bool {
	for _, list := range f.conn[:f.nconn] {
		for list != "" {
			var e string
			if e, list = next(list); e == name {
				return true
			}
		}
	}
	return false
}

// lowerInPlace lowers a value that stands in the read buffer and that nobody
// else looks at.
func lowerInPlace(s string) string {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for i, x := range b {
		if class[x]&upperByte != 0 {
			b[i] = x | 0x20
		}
	}
	return s
}

// parseLength takes decimal digits alone (RFC 9110, 8.6), up to 10^18.
func parseLength(s string) (int64, error) {
	if s == "" || len(s) > 18 {
		return 0, errLength
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errLength
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, nil
}

// coding checks Transfer-Encoding: chunked alone, and no Content-Length beside it
// (RFC 9112, 6.1 and 6.3).
func (f *framing) coding() error {
	switch {
	case f.codings == 0:
		return nil
	case f.lengths > 0:
		return errLengthChunked
	case f.codings > 1 || !f.chunked:
		return errCoding
	}
	return nil
}

// HasTrailers tells whether a trailer may follow a body of this length.
func HasTrailers(length int64) bool { return length == exchange.UnknownLength }
