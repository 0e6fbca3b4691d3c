package filters

import "testing"

func TestHealthCheck(t *testing.T) {
	checked := func(name, fields string, asks ...ask) *world {
		return &world{name: name, filters: "[{name: m, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck, " + fields + "}}]", asks: asks}
	}
	const path = "headers: [{name: ':path', string_match: {exact: /healthz}}]"
	asks := []ask{{path: "/healthz"}, {path: "/healthz?a"}, {path: "/"}, {method: "HEAD", path: "/healthz"}, {method: "POST", path: "/healthz", body: "x"},
		{method: "POST", path: "/healthz", header: []string{"content-type: application/grpc"}}}
	compare(t, []*world{
		checked("own", "pass_through_mode: false, "+path, asks...),
		checked("passed", "pass_through_mode: true, "+path, asks...),
		checked("every", "pass_through_mode: false", ask{}),
	})
}
