package xdsgen

import (
	"regexp/syntax"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/mesh"
)

// triggerHeaders are the matches on :path under which a trigger fires: no
// excluded path and, if there are any, one of the included ones.
func triggerHeaders(t mesh.Trigger) []*routev3.HeaderMatcher {
	var out []*routev3.HeaderMatcher
	if len(t.Excluded) > 0 {
		out = append(out, pathHeader(t.Excluded, true))
	}
	if len(t.Included) > 0 {
		out = append(out, pathHeader(t.Included, false))
	}
	return out
}

func pathHeader(list []mesh.StringMatch, invert bool) *routev3.HeaderMatcher {
	alternatives := make([]string, len(list))
	for i, m := range list {
		alternatives[i] = pathPattern(&m)
	}
	re := "(?:" + strings.Join(alternatives, "|") + ")(?:[?#].*)?"
	return &routev3.HeaderMatcher{
		Name: ":path", InvertMatch: invert,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: regexText(re)},
	}
}

// pathPattern is an expression that matches what m matches and that has neither
// ? nor #, so that query and fragment can never count: a client could add them
// to have any path excluded.
func pathPattern(m *mesh.StringMatch) string {
	const rest = "[^?#]*"
	switch m.Kind {
	case mesh.Exact:
		return pathOnly(quoted(m.Value))
	case mesh.Prefix:
		return pathOnly(quoted(m.Value)) + rest
	case mesh.Suffix:
		return rest + pathOnly(quoted(m.Value))
	}
	return pathOnly(m.Value)
}

// pathOnly rewrites an expression so that no part of it can match ? or #. One
// that cannot be read matches nothing.
func pathOnly(expr string) string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nothing
	}
	return "(?:" + cut(re).String() + ")"
}

// nothing is an expression that matches no text.
const nothing = `[^\x00-\x{10FFFF}]`

func cut(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r == '?' || r == '#' {
				return &syntax.Regexp{Op: syntax.OpNoMatch}
			}
		}
	case syntax.OpAnyChar:
		return class([]rune{0, 0x10FFFF})
	case syntax.OpAnyCharNotNL:
		return class([]rune{0, '\n' - 1, '\n' + 1, 0x10FFFF})
	case syntax.OpCharClass:
		return class(re.Rune)
	}
	for i, s := range re.Sub {
		re.Sub[i] = cut(s)
	}
	return re
}

// class is a character class of the ranges less ? and #.
func class(ranges []rune) *syntax.Regexp {
	out := ranges
	for _, not := range []rune{'#', '?'} {
		var next []rune
		for i := 0; i+1 < len(out); i += 2 {
			lo, hi := out[i], out[i+1]
			if not < lo || not > hi {
				next = append(next, lo, hi)
				continue
			}
			if lo < not {
				next = append(next, lo, not-1)
			}
			if not < hi {
				next = append(next, not+1, hi)
			}
		}
		out = next
	}
	return &syntax.Regexp{Op: syntax.OpCharClass, Rune: out}
}
