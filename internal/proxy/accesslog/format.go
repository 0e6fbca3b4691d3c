package accesslog

import (
	"fmt"
	"strconv"
	"strings"
)

// value is what an operator gives.
type value struct {
	text    string
	missing bool // "-" in text, null in JSON
	json    bool // text is JSON that is no string: JSON formats take it as it is
}

type operator func(*Entry) value

// part is a literal, or an operator with a limit of bytes.
type part struct {
	literal string
	op      operator
	limit   int // 0: none
}

func (p *part) value(e *Entry) (string, bool) {
	v := p.op(e)
	if v.missing {
		return "-", false
	}
	if p.limit > 0 && len(v.text) > p.limit {
		v.text = v.text[:p.limit]
	}
	return v.text, true
}

func (p *part) appendText(b []byte, e *Entry) []byte {
	if p.op == nil {
		return append(b, p.literal...)
	}
	s, _ := p.value(e)
	return appendEscaped(b, s)
}

// appendRaw appends without escapes, for JSON, which escapes by itself.
func (p *part) appendRaw(b []byte, e *Entry) []byte {
	if p.op == nil {
		return append(b, p.literal...)
	}
	s, _ := p.value(e)
	return append(b, s...)
}

// parse splits a format at its %OPERATOR(argument):limit% commands.
func parse(format string) ([]part, error) {
	var parts []part
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			return append(parts, part{literal: format}), nil
		}
		if i > 0 {
			parts = append(parts, part{literal: format[:i]})
		}
		if strings.HasPrefix(format[i:], "%%") {
			parts = append(parts, part{literal: "%"})
			format = format[i+2:]
			continue
		}
		end := commandEnd(format[i+1:])
		if end < 0 {
			return nil, fmt.Errorf("%q: a command without its end", format[i:])
		}
		p, err := compileCommand(format[i+1 : i+1+end])
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		format = format[i+end+2:]
	}
	return parts, nil
}

// commandEnd finds the % that ends a command; one within parentheses (a time
// format) does not.
func commandEnd(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '%':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

func compileCommand(s string) (p part, err error) {
	name, arg := s, ""
	if i := strings.IndexByte(s, '('); i >= 0 {
		j := strings.LastIndexByte(s, ')')
		if j < i {
			return p, fmt.Errorf("%%%s%%: no closing parenthesis", s)
		}
		name, arg = s[:i], s[i+1:j]
		if rest := s[j+1:]; rest != "" {
			if p.limit, err = strconv.Atoi(strings.TrimPrefix(rest, ":")); err != nil || rest[0] != ':' || p.limit <= 0 {
				return p, fmt.Errorf("%%%s%%: not a length", s)
			}
		}
	}
	if p.op = compileOperator(name, arg); p.op == nil {
		return p, fmt.Errorf("%%%s%%: unknown command", s)
	}
	return p, nil
}
