// Package cors is the filter that answers browsers' preflight requests and puts
// the headers of the CORS protocol (Fetch standard, 3.2) on responses. What is
// allowed comes from the route alone, as in Envoy: without a policy there the
// filter does nothing.
package cors

import (
	"regexp"
	"strings"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"

// Factory makes the filters.
func Factory() filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			m := new(corsv3.Cors)
			if err := strict.Unpack(c.Typed, m); err != nil {
				return nil, err
			}
			return &Filter{c.Name}, strict.Only(m)
		},
		PerRoute: compile,
	}
}

// Filter looks up the route's policy under its own name.
type Filter struct{ name string }

var _ filter.Encoder = (*Filter)(nil)

// policy is a compiled CorsPolicy.
type policy struct {
	origins                          []func(string) bool
	methods, headers, expose, maxAge string
	credentials                      *bool
	enabled                          match.Fraction
}

// Over takes from the level above what p itself leaves open.
func (p *policy) Over(less any) any {
	above, ok := less.(*policy)
	if !ok || above == nil {
		return p
	}
	if len(p.origins) == 0 {
		p.origins = above.origins
	}
	for _, f := range []struct{ own, above *string }{{&p.methods, &above.methods}, {&p.headers, &above.headers}, {&p.expose, &above.expose}, {&p.maxAge, &above.maxAge}} {
		if *f.own == "" {
			*f.own = *f.above
		}
	}
	if p.credentials == nil {
		p.credentials = above.credentials
	}
	return p
}

func compile(a *anypb.Any) (any, error) {
	m := new(corsv3.CorsPolicy)
	if err := strict.Unpack(a, m); err != nil {
		return nil, err
	}
	if err := strict.Only(m, "allow_origin_string_match", "allow_methods", "allow_headers", "expose_headers", "max_age", "allow_credentials", "filter_enabled", "shadow_enabled"); err != nil {
		return nil, err
	}
	p := &policy{
		methods: m.GetAllowMethods(), headers: m.GetAllowHeaders(), expose: m.GetExposeHeaders(),
		maxAge: m.GetMaxAge(), enabled: match.Everything,
	}
	if c := m.GetAllowCredentials(); c != nil {
		p.credentials = &c.Value
	}
	var err error
	if e := m.GetFilterEnabled(); e != nil {
		if p.enabled, err = match.CompileRuntimeFraction(e); err != nil {
			return nil, strict.At("filter_enabled", err)
		}
	}
	// A policy in the shadow only counts.
	if _, err := match.CompileRuntimeFraction(m.GetShadowEnabled()); err != nil {
		return nil, strict.At("shadow_enabled", err)
	}
	for i, o := range m.GetAllowOriginStringMatch() {
		f, err := origin(o)
		if err != nil {
			return nil, strict.AtIndex("allow_origin_string_match", i, err)
		}
		if f("*") { // whatever matches "*" stands for every origin, as Envoy has it
			f = anybody
		}
		p.origins = append(p.origins, f)
	}
	return p, nil
}

func anybody(string) bool { return true }

func origin(m *matcherv3.StringMatcher) (func(string) bool, error) {
	if err := strict.Only(m, "exact", "prefix", "suffix", "contains", "safe_regex", "ignore_case"); err != nil {
		return nil, err
	}
	fold := func(s string) string { return s }
	if m.GetIgnoreCase() {
		fold = strings.ToLower
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return func(s string) bool { return fold(s) == fold(p.Exact) }, nil
	case *matcherv3.StringMatcher_Prefix:
		return func(s string) bool { return strings.HasPrefix(fold(s), fold(p.Prefix)) }, nil
	case *matcherv3.StringMatcher_Suffix:
		return func(s string) bool { return strings.HasSuffix(fold(s), fold(p.Suffix)) }, nil
	case *matcherv3.StringMatcher_Contains:
		return func(s string) bool { return strings.Contains(fold(s), fold(p.Contains)) }, nil
	case *matcherv3.StringMatcher_SafeRegex:
		re, err := regexp.Compile("^(?:" + p.SafeRegex.GetRegex() + ")$")
		if err != nil {
			return nil, strict.At("safe_regex", err)
		}
		return re.MatchString, nil
	}
	return nil, strict.Errorf("match_pattern", "missing")
}

// allowed gives the route's policy and the request's origin if it passes.
func (f *Filter) allowed(x *exchange.Exchange) (*policy, string) {
	o := x.Request.Header.Get("origin")
	r, ok := x.Route.(filter.Route)
	if o == "" || !ok || r == nil {
		return nil, ""
	}
	p, ok := r.FilterConfig(f.name).(*policy)
	if !ok || p == nil {
		return nil, ""
	}
	for _, is := range p.origins {
		if is(o) {
			return p, o
		}
	}
	return nil, ""
}

// Decode answers a preflight of an allowed origin.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	h := &x.Request.Header
	p, _ := f.allowed(x)
	if p == nil {
		return true
	}
	if p.enabled != match.Everything {
		hit := p.enabled.Hit()
		x.Keep(f, hit)
		if !hit {
			return true
		}
	}
	if x.Request.Method != "OPTIONS" || h.Get("access-control-request-method") == "" {
		return true
	}
	x.Reply(200, "", "cors_response")
	out := &x.Response.Header
	for _, v := range [][2]string{
		{"access-control-allow-methods", p.methods}, {"access-control-allow-headers", p.headers},
		{"access-control-max-age", p.maxAge},
	} {
		if v[1] != "" {
			out.Set(v[0], v[1])
		}
	}
	return false
}

// Encode tells the browser that the origin may read the response.
func (f *Filter) Encode(x *exchange.Exchange) {
	p, o := f.allowed(x)
	if p == nil || p.enabled != match.Everything && x.Kept(f) != true {
		return
	}
	h := &x.Response.Header
	h.Set("access-control-allow-origin", strings.Clone(o))
	if p.credentials != nil && *p.credentials {
		h.Set("access-control-allow-credentials", "true")
	}
	if p.expose != "" {
		h.Set("access-control-expose-headers", p.expose)
	}
}
