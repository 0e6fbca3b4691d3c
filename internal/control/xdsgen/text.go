package xdsgen

import (
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/mesh"
)

func socket(name string, a *anypb.Any) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: name, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: a}}
}

func exact(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

func prefix(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: s}}
}

func suffix(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: s}}
}

func regexText(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: re2(s)}}
}

func re2(s string) *matcherv3.RegexMatcher { return &matcherv3.RegexMatcher{Regex: s} }

// textMatcher is a model's match as Envoy's.
func textMatcher(m *mesh.StringMatch) *matcherv3.StringMatcher {
	var out *matcherv3.StringMatcher
	switch m.Kind {
	case mesh.Exact:
		out = exact(m.Value)
	case mesh.Prefix:
		out = prefix(m.Value)
	case mesh.Suffix:
		out = suffix(m.Value)
	case mesh.Regex:
		return regexText(m.Value)
	case mesh.Present:
		return regexText(".+")
	}
	out.IgnoreCase = m.IgnoreCase
	return out
}

// quoted is a regular expression for a literal text, in RE2 and in Go.
func quoted(s string) string { return regexp.QuoteMeta(s) }

func lower(s string) string { return strings.ToLower(s) }
