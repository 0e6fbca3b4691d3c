package healthcheck

import (
	"strings"
	"testing"

	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func newFilter(t *testing.T, text string) (filter.Filter, error) {
	t.Helper()
	return Factory("me").New(filter.Config{Typed: proxytest.Pack(t, text, &healthv3.HealthCheck{})})
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
		`{pass_through_mode: true, cache_time: 1s}`:                                     "cache_time",
		`{pass_through_mode: false, cluster_min_healthy_percentages: {a: {value: 50}}}`: "cluster_min_healthy_percentages",
		`{pass_through_mode: false, headers: [{}]}`:                                     "headers[0].name",
	} {
		if _, err := newFilter(t, text); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
