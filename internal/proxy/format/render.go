package format

import "unicode/utf8"

// append appends what a part makes, or empty for nothing.
func (p *part) append(b []byte, s *Subject, empty string) []byte {
	if p.op == nil {
		return append(b, p.literal...)
	}
	from := len(b)
	b, k := p.op(b, s)
	if k == missing {
		return append(b[:from], empty...)
	}
	return p.bound(b, from)
}

// bound cuts what was appended.
func (p *part) bound(b []byte, from int) []byte {
	if p.limit >= 0 && len(b)-from > p.limit {
		return b[:from+p.limit]
	}
	return b
}

// appendValue appends what parts make as JSON: an operator's own kind of value if it
// alone stands there, else a string.
func appendValue(b []byte, s *Subject, parts []part, empty string) []byte {
	from := len(b)
	b = append(b, '"')
	if len(parts) == 1 && parts[0].op != nil {
		var k kind
		switch b, k = parts[0].op(b, s); k {
		case missing:
			return append(b[:from], "null"...)
		case bare:
			return b[:from+copy(b[from:], b[from+1:])]
		}
		b = parts[0].bound(b, from+1)
	} else {
		for i := range parts {
			b = parts[i].append(b, s, empty)
		}
	}
	return append(quote(b, from+1), '"')
}

const hexDigits = "0123456789abcdef"

// escape makes the end of b fit for a line: control characters and quotes are
// escaped, so that a client can forge neither a line nor a field.
func escape(b []byte, from int) []byte {
	if clean(b[from:], true) {
		return b
	}
	raw := string(b[from:])
	b = b[:from]
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c == 0x7f || c >= 0x80:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// clean tells whether b holds only what stands for itself; ascii: and no other
// characters than ASCII's.
func clean(b []byte, ascii bool) bool {
	var found uint8
	for _, c := range b {
		found |= stands[c]
	}
	return found == 0 || found == wide && !ascii && utf8.Valid(b)
}

// stands tells which bytes do not stand for themselves: special ones never do, wide ones not
// where there is ASCII alone.
var stands = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '"' || c == '\\' || c < 0x20 || c == 0x7f:
			t[c] = special
		case c >= utf8.RuneSelf:
			t[c] = wide
		}
	}
	return t
}()

const (
	special = 1 << iota
	wide
)

// quote makes the end of b fit to stand in quotes of JSON.
func quote(b []byte, from int) []byte {
	if clean(b[from:], false) {
		return b
	}
	raw := string(b[from:])
	b = b[:from]
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(raw[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, raw[i:i+n]...)
			}
			i += n
			continue
		}
		i++
	}
	return b
}
