package csrf

import (
	"strings"
	"testing"

	csrfv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/csrf/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func compiled(t *testing.T, text string, set *counters.Set) (filter.Filter, error) {
	t.Helper()
	return Factory(set).New(filter.Config{Name: "csrf", Typed: proxytest.Pack(t, text, &csrfv3.CsrfPolicy{}), StatPrefix: "p"})
}

// TestRefused names what is not taken, with its place.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                 "filter_enabled.default_value: missing",
		`{filter_enabled: {runtime_key: a}}`: "filter_enabled.default_value: missing",
		`{filter_enabled: {default_value: {}}, shadow_enabled: {runtime_key: a}}`:                                                                                "shadow_enabled.default_value: missing",
		`{filter_enabled: {default_value: {numerator: 1, denominator: 9}}}`:                                                                                      "filter_enabled.default_value.denominator: not supported",
		`{filter_enabled: {default_value: {}}, additional_origins: [{exact: a}, {}]}`:                                                                            "additional_origins[1].match_pattern: missing",
		`{filter_enabled: {default_value: {}}, additional_origins: [{safe_regex: {regex: "("}}]}`:                                                                "additional_origins[0].safe_regex",
		`{filter_enabled: {default_value: {}}, additional_origins: [{custom: {name: x, typed_config: {"@type": "type.googleapis.com/google.protobuf.Empty"}}}]}`: "additional_origins[0].custom: not supported",
	} {
		if _, err := compiled(t, text, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestAgain: a request that lasts is judged again, and counted once; what a share has let
// in stays in.
func TestAgain(t *testing.T) {
	set := &counters.Set{}
	f, err := compiled(t, `{filter_enabled: {default_value: {numerator: 50}}, shadow_enabled: {default_value: {numerator: 100}}}`, set)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[bool]bool{}
	const requests = 200
	for range requests {
		x := &exchange.Exchange{}
		x.Request.Method, x.Request.Scheme, x.Request.Authority = "POST", "https", "a.test"
		x.Request.Header.Add("origin", "https://evil.test")
		passes := f.Decode(x)
		seen[passes] = true
		if x.Again = true; f.Decode(x) != passes {
			t.Fatal("another verdict")
		}
	}
	if len(seen) != 2 {
		t.Errorf("half of all requests: %v", seen)
	}
	if n := set.Of(counters.Name{Scope: counters.HTTP, Of: "p", Name: "csrf.request_invalid"}).Load(); n != requests {
		t.Errorf("%d are counted", n)
	}
}

// TestAllocations: judging allocates nothing.
func TestAllocations(t *testing.T) {
	f, err := compiled(t, `{filter_enabled: {default_value: {numerator: 100}}, additional_origins: [{suffix: .c.test}]}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	x.Request.Method, x.Request.Scheme, x.Request.Authority = "POST", "https", "a.test:8443"
	x.Request.Header.Add("origin", "https://x.c.test")
	if n := testing.AllocsPerRun(100, func() {
		if !f.Decode(x) {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"http://a.test", "http://u@[::1]:80/x?y#z", "null", "://", "a://[", "http://@", "http://a:"} {
		f.Add(s, s, "a.test")
	}
	f.Fuzz(func(t *testing.T, o, referer, target string) {
		var h exchange.Header
		h.Add("origin", o)
		h.Add("referer", referer)
		from := source(&h)
		if (&policy{}).permits(from, target) && from.text == "" {
			t.Error("no origin is permitted")
		}
	})
}
