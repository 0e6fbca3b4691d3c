// Package match compiles Envoy's matchers (type.matcher.v3, and those of routes)
// into Go values that filters ask about a request. A field that is not supported
// is an error that names it. It knows no filter and no configuration around it.
package match

import (
	"regexp"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// String tells whether a text matches.
type String func(string) bool

// CompileString compiles a StringMatcher.
func CompileString(m *matcherv3.StringMatcher) (String, error) {
	if err := strict.Only(m, "exact", "prefix", "suffix", "contains", "safe_regex", "ignore_case"); err != nil {
		return nil, err
	}
	if _, re := m.GetMatchPattern().(*matcherv3.StringMatcher_SafeRegex); re {
		if m.GetIgnoreCase() {
			return nil, strict.Errorf("ignore_case", "has no effect for safe_regex")
		}
		s, err := CompileRegex(m.GetSafeRegex())
		return s, strict.At("safe_regex", err)
	}
	if m.GetIgnoreCase() {
		return compileFold(m)
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return func(s string) bool { return s == p.Exact }, nil
	case *matcherv3.StringMatcher_Prefix:
		return func(s string) bool { return strings.HasPrefix(s, p.Prefix) }, nil
	case *matcherv3.StringMatcher_Suffix:
		return func(s string) bool { return strings.HasSuffix(s, p.Suffix) }, nil
	case *matcherv3.StringMatcher_Contains:
		return func(s string) bool { return strings.Contains(s, p.Contains) }, nil
	}
	return nil, strict.Errorf("match_pattern", "missing")
}

// compileFold ignores the case of ASCII letters, as Envoy does.
func compileFold(m *matcherv3.StringMatcher) (String, error) {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return func(s string) bool { return EqualFold(s, p.Exact) }, nil
	case *matcherv3.StringMatcher_Prefix:
		n := len(p.Prefix)
		return func(s string) bool { return len(s) >= n && EqualFold(s[:n], p.Prefix) }, nil
	case *matcherv3.StringMatcher_Suffix:
		n := len(p.Suffix)
		return func(s string) bool { return len(s) >= n && EqualFold(s[len(s)-n:], p.Suffix) }, nil
	case *matcherv3.StringMatcher_Contains:
		n := len(p.Contains)
		return func(s string) bool {
			for i := 0; i+n <= len(s); i++ {
				if EqualFold(s[i:i+n], p.Contains) {
					return true
				}
			}
			return false
		}, nil
	}
	return nil, strict.Errorf("match_pattern", "missing")
}

// EqualFold compares without regard to the case of ASCII letters.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// Lower gives a text with its ASCII capitals in lower case; it copies only what has
// some.
func Lower(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// CompileRegex compiles an expression that must match all of a text (RE2).
func CompileRegex(m *matcherv3.RegexMatcher) (String, error) {
	if err := strict.Only(m, "regex", "google_re2"); err != nil {
		return nil, err
	}
	return fullMatch(m.GetRegex())
}

func fullMatch(expr string) (String, error) {
	// By itself first: "a)|(b" must not close our own group.
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}

// CompilePath compiles a PathMatcher; see CutPath for what it is asked about.
func CompilePath(m *matcherv3.PathMatcher) (String, error) {
	if err := strict.Only(m, "path"); err != nil {
		return nil, err
	}
	if m.GetPath() == nil {
		return nil, strict.Errorf("path", "missing")
	}
	s, err := CompileString(m.GetPath())
	return s, strict.At("path", err)
}

// CutPath cuts query and fragment off a request's path.
func CutPath(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		return path[:i]
	}
	return path
}
