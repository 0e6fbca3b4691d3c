package healthcheck

import (
	"strings"
	"testing"
	"time"

	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// unwell is what the filters of the tests are told.
var unwell bool

func newFilter(t *testing.T, text string) (filter.Filter, error) {
	t.Helper()
	return Factory("me", func() bool { return unwell }).New(filter.Config{Typed: proxytest.Pack(t, text, &healthv3.HealthCheck{})})
}

func TestFilter(t *testing.T) {
	const headers = `headers: [{name: ":path", string_match: {exact: /healthz}}, {name: x-check}]`
	for _, c := range []struct {
		config, path string
		header       bool
		status       int // 0: passes
		marked       bool
	}{
		{"pass_through_mode: false, " + headers, "/healthz", true, 200, true},
		{"pass_through_mode: false, " + headers, "/healthz", false, 0, false},
		{"pass_through_mode: false, " + headers, "/healthz/", true, 0, false},
		{"pass_through_mode: true, " + headers, "/healthz", true, 0, true},
		{"pass_through_mode: true, " + headers, "/", true, 0, false},
	} {
		f, err := newFilter(t, "{"+c.config+"}")
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		x.Request.Path = c.path
		if c.header {
			x.Request.Header.Add("x-check", "")
		}
		passes := f.Decode(x)
		f.(filter.Encoder).Encode(x)
		_, marked := x.Response.Header.Lookup("x-envoy-upstream-healthchecked-cluster")
		if passes != (c.status == 0) || x.Response.Status != c.status || marked != c.marked {
			t.Errorf("%+v: %v %d %v", c, passes, x.Response.Status, marked)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for text, path := range map[string]string{
		`{}`: "pass_through_mode",
		`{pass_through_mode: false, cache_time: 1s}`:                                    "cache_time",
		`{pass_through_mode: true, cache_time: -1s}`:                                    "cache_time",
		`{pass_through_mode: false, cluster_min_healthy_percentages: {a: {value: 50}}}`: "cluster_min_healthy_percentages",
		`{pass_through_mode: false, headers: [{}]}`:                                     "headers[0].name",
	} {
		if _, err := newFilter(t, text); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A proxy that is to be seen as failed says so: it answers 503 where it answers itself,
// and marks all other answers.
func TestUnwell(t *testing.T) {
	unwell = true
	defer func() { unwell = false }()
	for _, c := range []struct {
		config string
		path   string
		status int
	}{
		{`{pass_through_mode: false, headers: [{name: ":path", string_match: {exact: /h}}]}`, "/h", 503},
		{`{pass_through_mode: false, headers: [{name: ":path", string_match: {exact: /h}}]}`, "/", 0},
		{`{pass_through_mode: true}`, "/", 0},
	} {
		f, err := newFilter(t, c.config)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		x.Request.Path = c.path
		f.Decode(x)
		f.(filter.Encoder).Encode(x)
		if x.Response.Status != c.status || x.Response.Header.Get("x-envoy-immediate-health-check-fail") != "true" || (c.status == 503) != (x.Flags == "LH") {
			t.Errorf("%+v: %d %q %v", c, x.Response.Status, x.Flags, x.Response.Header)
		}
	}
}

// An answer is given to others until its time ends, the status of a failure too.
func TestCache(t *testing.T) {
	made, err := newFilter(t, "{pass_through_mode: true, cache_time: 10s}")
	if err != nil {
		t.Fatal(err)
	}
	f := made.(*Filter)
	at := f.start
	f.now = func() time.Time { return at }
	ask := func(answers int, degraded bool) (status int, asked bool) {
		x := &exchange.Exchange{}
		if asked = f.Decode(x); asked {
			x.Response.Status = answers
			if degraded {
				x.Response.Header.Add("x-envoy-degraded", "")
			}
		} else if _, is := x.Response.Header.Lookup("x-envoy-degraded"); is != degraded || (x.Flags == "LH") != (x.Response.Status != 200) {
			t.Errorf("degraded %v, %q", is, x.Flags)
		}
		f.Encode(x)
		return x.Response.Status, asked
	}
	for i, c := range []struct {
		after    time.Duration
		answers  int
		degraded bool
		status   int
		asked    bool
	}{
		{0, 200, false, 200, true}, {9 * time.Second, 503, false, 200, false}, {time.Second, 503, true, 503, true},
		{5 * time.Second, 200, true, 503, false}, {5 * time.Second, 200, false, 200, true}, {time.Hour, 503, false, 503, true},
	} {
		at = at.Add(c.after)
		if status, asked := ask(c.answers, c.degraded); status != c.status || asked != c.asked {
			t.Errorf("step %d: %d %v", i, status, asked)
		}
	}
}
