package format

import (
	"fmt"
	"strconv"
	"strings"
)

// part is a literal, or an operator with a limit of bytes.
type part struct {
	literal string
	op      operator
	limit   int // negative: none
}

// parse splits a format at its %OPERATOR(argument):limit% commands.
func parse(format string) ([]part, error) {
	var parts []part
	literal := func(s string) {
		if n := len(parts); n > 0 && parts[n-1].op == nil {
			parts[n-1].literal += s
			return
		}
		parts = append(parts, part{literal: s})
	}
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			literal(format)
			break
		}
		if i > 0 {
			literal(format[:i])
		}
		if strings.HasPrefix(format[i:], "%%") {
			literal("%")
			format = format[i+2:]
			continue
		}
		end := commandEnd(format[i+1:])
		if end < 0 {
			return nil, fmt.Errorf("%q: a command without its end", format[i:])
		}
		p, err := parseCommand(format[i+1 : i+1+end])
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

func parseCommand(s string) (p part, err error) {
	p.limit = -1
	name, arg, has := s, "", false
	rest := ""
	if i := strings.IndexByte(s, '('); i >= 0 {
		j := strings.LastIndexByte(s, ')')
		if j < i {
			return p, fmt.Errorf("%%%s%%: no closing parenthesis", s)
		}
		name, arg, rest, has = s[:i], s[i+1:j], s[j+1:], true
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		name, rest = s[:i], s[i:]
	}
	c, ok := commands[name]
	switch {
	case !ok:
		return p, fmt.Errorf("%%%s%%: unknown command", s)
	case c.takes == needsArgument && arg == "":
		return p, fmt.Errorf("%%%s%%: no argument", s)
	case c.takes == noArgument && has:
		return p, fmt.Errorf("%%%s%%: takes no argument", s)
	case rest != "" && !c.cut:
		return p, fmt.Errorf("%%%s%%: cannot be cut", s)
	case rest != "":
		if p.limit, err = strconv.Atoi(strings.TrimPrefix(rest, ":")); err != nil || rest[0] != ':' || p.limit < 0 {
			return p, fmt.Errorf("%%%s%%: not a length", s)
		}
	}
	if p.op, err = c.make(arg); err != nil {
		return p, fmt.Errorf("%%%s%%: %w", s, err)
	}
	return p, nil
}

// argument tells whether a command takes one.
type argument uint8

const (
	noArgument argument = iota
	mayArgument
	needsArgument
)

// command makes operators of one name.
type command struct {
	takes argument
	cut   bool // a length may follow
	make  func(arg string) (operator, error)
}
