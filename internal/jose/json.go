package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays nest, the outermost being 1.
const maxDepth = 32

// DecodeJSON reads one JSON object as RFC 8259 has it, and no other spelling: no
// repeated member name, no unpaired surrogate, valid UTF-8, at most maxDepth deep,
// nothing after it but white space. Values are map[string]any, []any, string,
// json.Number, bool and nil.
func DecodeJSON(data []byte) (map[string]any, error) { return decodeObject(string(data)) }

// decodeObject is DecodeJSON; values share the memory of s.
func decodeObject(s string) (map[string]any, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not valid UTF-8")
	}
	d := &jsonReader{s: s}
	d.space()
	if d.i >= len(d.s) || d.s[d.i] != '{' {
		return nil, d.errorf("not an object")
	}
	// Commas bound the members from above; 28 are what a map of 32 slots holds.
	m := make(map[string]any, min(strings.Count(s, ",")+1, 28))
	if err := d.object(m, 1); err != nil {
		return nil, err
	}
	if d.space(); d.i != len(d.s) {
		return nil, d.errorf("text after the object")
	}
	return m, nil
}

// jsonReader is a recursive descent over s; values share its memory. It exists
// since encoding/json takes repeated names, names in another case and bad UTF-8.
type jsonReader struct {
	s string
	i int
}

func (d *jsonReader) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", d.i, fmt.Sprintf(format, args...))
}

func (d *jsonReader) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *jsonReader) value(depth int) (any, error) {
	d.space()
	if d.i >= len(d.s) {
		return nil, d.errorf("ends early")
	}
	switch c := d.s[d.i]; c {
	case '{':
		m := map[string]any{}
		return m, d.object(m, depth+1)
	case '[':
		return d.array(depth + 1)
	case '"':
		return d.string()
	case 't':
		return true, d.literal("true")
	case 'f':
		return false, d.literal("false")
	case 'n':
		return nil, d.literal("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return d.number()
		}
		return nil, d.errorf("no value starts so")
	}
}

func (d *jsonReader) literal(w string) error {
	if !strings.HasPrefix(d.s[d.i:], w) {
		return d.errorf("no value starts so")
	}
	d.i += len(w)
	return nil
}

// object reads the members of an object into m, which is empty.
func (d *jsonReader) object(m map[string]any, depth int) error {
	if depth > maxDepth {
		return d.errorf("nested deeper than %d", maxDepth)
	}
	d.i++ // {
	d.space()
	if d.next('}') {
		return nil
	}
	for n := 1; ; n++ {
		d.space()
		if d.i >= len(d.s) || d.s[d.i] != '"' {
			return d.errorf("a member name is wanted")
		}
		name, err := d.string()
		if err != nil {
			return err
		}
		d.space()
		if !d.next(':') {
			return d.errorf("a colon is wanted")
		}
		if m[name], err = d.value(depth); err != nil {
			return err
		}
		if len(m) < n {
			return d.errorf("member %s is there twice", shown(name))
		}
		d.space()
		if d.next('}') {
			return nil
		}
		if !d.next(',') {
			return d.errorf("a comma or } is wanted")
		}
	}
}

func (d *jsonReader) array(depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, d.errorf("nested deeper than %d", maxDepth)
	}
	d.i++ // [
	d.space()
	if d.next(']') {
		return []any{}, nil
	}
	l := make([]any, 0, 4)
	for {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
		d.space()
		if d.next(']') {
			return l, nil
		}
		if !d.next(',') {
			return nil, d.errorf("a comma or ] is wanted")
		}
	}
}

func (d *jsonReader) next(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *jsonReader) string() (string, error) {
	d.i++ // "
	start := d.i
	for i, c := range []byte(d.s[start:]) {
		if c != '"' && c != '\\' && c >= 0x20 {
			continue
		}
		d.i = start + i
		switch c {
		case '"':
			d.i++
			return d.s[start : d.i-1], nil
		case '\\':
			return d.escaped(start)
		}
		return "", d.errorf("a control character in a string")
	}
	d.i = len(d.s)
	return "", d.errorf("a string does not end")
}

// escaped goes on from the first backslash of a string that began at start.
func (d *jsonReader) escaped(start int) (string, error) {
	b := append(make([]byte, 0, d.i-start+32), d.s[start:d.i]...)
	for d.i < len(d.s) {
		c := d.s[d.i]
		switch {
		case c == '"':
			d.i++
			return string(b), nil
		case c < 0x20:
			return "", d.errorf("a control character in a string")
		case c != '\\':
			b = append(b, c)
			d.i++
			continue
		}
		d.i++
		if d.i >= len(d.s) {
			break
		}
		c = d.s[d.i]
		d.i++
		if c == 'u' {
			r, err := d.unicode()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		k := strings.IndexByte(`"\/bfnrt`, c)
		if k < 0 {
			return "", d.errorf("an escape that JSON does not have")
		}
		b = append(b, "\"\\/\b\f\n\r\t"[k])
	}
	return "", d.errorf("a string does not end")
}

// unicode reads the digits of \u, and the second half of a surrogate pair.
func (d *jsonReader) unicode() (rune, error) {
	r, ok := d.hex4()
	if !ok {
		return 0, d.errorf(`four hex digits are wanted after \u`)
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if strings.HasPrefix(d.s[d.i:], `\u`) {
		d.i += 2
		if low, ok := d.hex4(); ok {
			if p := utf16.DecodeRune(r, low); p != utf8.RuneError {
				return p, nil
			}
		}
	}
	return 0, d.errorf("half a surrogate pair")
}

func (d *jsonReader) hex4() (rune, bool) {
	if len(d.s)-d.i < 4 {
		return 0, false
	}
	for _, c := range []byte(d.s[d.i : d.i+4]) {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(d.s[d.i:d.i+4], 16, 32)
	d.i += 4
	return rune(n), err == nil
}

func (d *jsonReader) number() (any, error) {
	start := d.i
	d.next('-')
	switch {
	case d.next('0'):
	case d.digits():
	default:
		return nil, d.errorf("not a number")
	}
	if d.next('.') && !d.digits() {
		return nil, d.errorf("not a number")
	}
	exponent := d.next('e') || d.next('E')
	if exponent {
		if !d.next('+') {
			d.next('-')
		}
		if !d.digits() {
			return nil, d.errorf("not a number")
		}
	}
	n := json.Number(d.s[start:d.i])
	// Only an exponent or very many digits make one that is out of range.
	if exponent || len(n) > 300 {
		if _, err := n.Float64(); err != nil {
			return nil, d.errorf("a number out of range")
		}
	}
	return n, nil
}

func (d *jsonReader) digits() bool {
	start := d.i
	for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
		d.i++
	}
	return d.i > start
}
