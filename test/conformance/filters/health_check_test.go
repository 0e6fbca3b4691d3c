package filters

import "testing"

func TestHealthCheck(t *testing.T) {
	checked := func(name, fields string, asks ...ask) *world {
		return &world{name: name, filters: "[{name: m, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck, " + fields + "}}]", asks: asks}
	}
	const path = "headers: [{name: ':path', string_match: {exact: /healthz}}]"
	asks := []ask{{path: "/healthz"}, {path: "/healthz?a"}, {path: "/"}, {method: "HEAD", path: "/healthz"}, {method: "POST", path: "/healthz", body: "x"},
		{method: "POST", path: "/healthz", header: []string{"content-type: application/grpc"}}}
	failing := checked("failing", "pass_through_mode: true, cache_time: 1000s, "+path, ask{path: "/healthz"}, ask{path: "/healthz"}, ask{method: "POST", path: "/healthz", header: []string{"content-type: application/grpc"}})
	failing.routes = "[{match: {prefix: /}, direct_response: {status: 503}}]"
	compare(t, []*world{
		checked("own", "pass_through_mode: false, "+path, asks...),
		checked("passed", "pass_through_mode: true, "+path, asks...),
		checked("cached", "pass_through_mode: true, cache_time: 1000s, "+path, ask{path: "/healthz?a"}, ask{path: "/healthz"}, ask{path: "/healthz"}, ask{path: "/"}, ask{method: "HEAD", path: "/healthz"}, ask{method: "POST", path: "/healthz", body: "x"},
			ask{method: "POST", path: "/healthz", header: []string{"content-type: application/grpc"}}),
		failing, checked("every", "pass_through_mode: false", ask{}),
	})
}
