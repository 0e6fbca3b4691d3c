package cors

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
)

type route struct{ config any }

func (r route) FilterConfig(string) any { return r.config }

func TestFilter(t *testing.T) {
	exact := func(s string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
	}
	a, err := anypb.New(&corsv3.CorsPolicy{
		AllowOriginStringMatch: []*matcherv3.StringMatcher{exact("https://good.example")},
		AllowMethods:           "GET, PUT", AllowHeaders: "authorization", MaxAge: "60", ExposeHeaders: "x-a",
		AllowCredentials: wrapperspb.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Factory().PerRoute(a)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := anypb.New(&corsv3.Cors{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Factory().New(filter.Config{Name: "cors", Typed: typed})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, origin string
		asks                 bool
		route                any
		passes               bool
		allowed              string
	}{
		{"preflight", "OPTIONS", "https://good.example", true, route{p}, false, "https://good.example"},
		{"preflight of a stranger", "OPTIONS", "https://evil.example", true, route{p}, true, ""},
		{"OPTIONS that is no preflight", "OPTIONS", "https://good.example", false, route{p}, true, "https://good.example"},
		{"request", "GET", "https://good.example", false, route{p}, true, "https://good.example"},
		{"no origin", "GET", "", false, route{p}, true, ""},
		{"no policy", "OPTIONS", "https://good.example", true, route{}, true, ""},
		{"no route", "OPTIONS", "https://good.example", true, nil, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &exchange.Exchange{Route: c.route}
			x.Request.Method = c.method
			if c.origin != "" {
				x.Request.Header.Add("origin", c.origin)
			}
			if c.asks {
				x.Request.Header.Add("access-control-request-method", "PUT")
			}
			if got := f.Decode(x); got != c.passes {
				t.Errorf("passes: %v", got)
			}
			f.(filter.Encoder).Encode(x)
			h := &x.Response.Header
			if got := h.Get("access-control-allow-origin"); got != c.allowed {
				t.Errorf("allowed %q", got)
			}
			if !c.passes && (x.Response.Status != 200 || h.Get("access-control-allow-methods") != "GET, PUT" || h.Get("access-control-max-age") != "60") {
				t.Errorf("%d %v", x.Response.Status, h.Fields())
			}
		})
	}
}

// TestLevels: a route says again what it changes, and takes the rest from its host.
func TestLevels(t *testing.T) {
	compiled := func(m *corsv3.CorsPolicy) *policy {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		p, err := compile(a)
		if err != nil {
			t.Fatal(err)
		}
		return p.(*policy)
	}
	percent := func(n uint32) *corev3.RuntimeFractionalPercent {
		return &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: n}}
	}
	host := &corsv3.CorsPolicy{
		AllowOriginStringMatch: []*matcherv3.StringMatcher{{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: `\*`}}}},
		AllowMethods:           "GET", AllowCredentials: wrapperspb.Bool(true),
	}
	for _, c := range []struct {
		name        string
		route       *corsv3.CorsPolicy
		allowed     string
		credentials string
	}{
		{"nothing more", &corsv3.CorsPolicy{}, "https://a.test", "true"},
		{"another value", &corsv3.CorsPolicy{AllowCredentials: wrapperspb.Bool(false), FilterEnabled: percent(100)}, "https://a.test", ""},
		{"off", &corsv3.CorsPolicy{FilterEnabled: percent(0), ShadowEnabled: percent(100)}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Filter{"cors"}
			x := &exchange.Exchange{Route: route{compiled(c.route).Over(compiled(host))}}
			x.Request.Method = "GET"
			x.Request.Header.Add("origin", "https://a.test")
			if !f.Decode(x) {
				t.Fatal("answered")
			}
			f.Encode(x)
			if o, cr := x.Response.Header.Get("access-control-allow-origin"), x.Response.Header.Get("access-control-allow-credentials"); o != c.allowed || cr != c.credentials {
				t.Errorf("%q %q", o, cr)
			}
		})
	}
}
