package jsondoc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays nest, the outermost being 1.
const maxDepth = 32

// usual is how many nodes most documents have at most.
const usual = 64

// Parse reads one object: no repeated member name, no unpaired surrogate, valid
// UTF-8, at most maxDepth deep, nothing after it but white space. The value shares
// the memory of s. Errors say at which byte; those about a name show it.
func Parse(s string) (Value, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not valid UTF-8")
	}
	// Every value but the outermost comes after one of these.
	n := 1 + strings.Count(s, ",") + strings.Count(s, "{") + strings.Count(s, "[")
	d := &reader{s: s, most: n, nodes: make([]node, 0, min(n, usual))}
	d.space()
	if d.i >= len(d.s) || d.s[d.i] != '{' {
		return nil, d.errorf("not an object")
	}
	if err := d.value("", 0); err != nil {
		return nil, err
	}
	if d.space(); d.i != len(d.s) {
		return nil, d.errorf("text after the object")
	}
	return d.nodes, nil
}

// reader is a recursive descent over s; values share its memory.
type reader struct {
	s     string
	i     int
	most  int // nodes that there can be
	nodes []node
}

func (d *reader) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", d.i, fmt.Sprintf(format, args...))
}

func (d *reader) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// value reads one value, a member of that name, and adds it with all that it holds.
func (d *reader) value(name string, depth int) error {
	d.space()
	if d.i >= len(d.s) {
		return d.errorf("ends early")
	}
	at := len(d.nodes)
	if at == cap(d.nodes) { // append would grow by a quarter, again and again
		d.nodes = append(make([]node, 0, min(2*at, d.most)), d.nodes...)
	}
	d.nodes = append(d.nodes, node{name: name, size: 1})
	n := &d.nodes[at]
	var err error
	switch c := d.s[d.i]; c {
	case '{':
		n.kind = Object
		err = d.object(depth + 1)
		d.nodes[at].size = int32(len(d.nodes) - at)
	case '[':
		n.kind = Array
		err = d.array(depth + 1)
		d.nodes[at].size = int32(len(d.nodes) - at)
	case '"':
		n.kind = String
		n.text, err = d.string()
	case 't':
		n.kind = True
		err = d.literal("true")
	case 'f':
		n.kind = False
		err = d.literal("false")
	case 'n':
		n.kind = Null
		err = d.literal("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			return d.errorf("no value starts so")
		}
		n.kind = Number
		n.text, err = d.number()
	}
	return err
}

func (d *reader) literal(w string) error {
	if !strings.HasPrefix(d.s[d.i:], w) {
		return d.errorf("no value starts so")
	}
	d.i += len(w)
	return nil
}

func (d *reader) object(depth int) error {
	if depth > maxDepth {
		return d.errorf("nested deeper than %d", maxDepth)
	}
	d.i++ // {
	d.space()
	if d.next('}') {
		return nil
	}
	seen := names{first: len(d.nodes)}
	for {
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
		twice := seen.add(d.nodes, name)
		if err := d.value(name, depth); err != nil {
			return err
		}
		if twice {
			return d.errorf("member %+q is there twice", clip(name))
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

func (d *reader) array(depth int) error {
	if depth > maxDepth {
		return d.errorf("nested deeper than %d", maxDepth)
	}
	d.i++ // [
	d.space()
	if d.next(']') {
		return nil
	}
	for {
		if err := d.value("", depth); err != nil {
			return err
		}
		d.space()
		if d.next(']') {
			return nil
		}
		if !d.next(',') {
			return d.errorf("a comma or ] is wanted")
		}
	}
}

func (d *reader) next(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *reader) string() (string, error) {
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
func (d *reader) escaped(start int) (string, error) {
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
func (d *reader) unicode() (rune, error) {
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

func (d *reader) hex4() (rune, bool) {
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

func (d *reader) number() (string, error) {
	start := d.i
	d.next('-')
	switch {
	case d.next('0'):
	case d.digits():
	default:
		return "", d.errorf("not a number")
	}
	if d.next('.') && !d.digits() {
		return "", d.errorf("not a number")
	}
	exponent := d.next('e') || d.next('E')
	if exponent {
		if !d.next('+') {
			d.next('-')
		}
		if !d.digits() {
			return "", d.errorf("not a number")
		}
	}
	n := d.s[start:d.i]
	// Only an exponent or very many digits make one that is out of range.
	if exponent || len(n) > 300 {
		if _, err := strconv.ParseFloat(n, 64); err != nil {
			return "", d.errorf("a number out of range")
		}
	}
	return n, nil
}

func (d *reader) digits() bool {
	start := d.i
	for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
		d.i++
	}
	return d.i > start
}
