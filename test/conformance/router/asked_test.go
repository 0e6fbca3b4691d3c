package router

import "testing"

// TestSameAsked: what a request says of its own retries and times is heard from inside the
// network alone, and goes no further.
func TestSameAsked(t *testing.T) {
	from := func(path string, header ...string) ask { return ask{path: path, header: header} }
	const loopback = "use_remote_address: true, internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]},"
	routes := `[
      {name: policy, match: {prefix: /, headers: [{name: x-on, string_match: {exact: policy}}]}, route: {cluster: up, retry_policy: {retry_on: retriable-headers, retriable_headers: [{name: x-other}], retry_back_off: {base_interval: 0.001s}}}},
      {name: any, match: {prefix: /}, route: {cluster: up}}]`
	asks := []ask{
		from("/"), from("/", "x-request-id: mine"), from("/", "x-envoy-internal: true"), from("/", "x-envoy-external-address: 10.0.0.1"),
		from("/fail/1/503", "x-envoy-retry-on: 5xx"), from("/fail/1/503", "x-envoy-retry-on: 5xx", "x-forwarded-for: 127.0.0.9"),
		from("/fail/1/503", "x-envoy-retry-on: none, gateway-error"), from("/fail/1/503", "x-envoy-max-retries: 3"),
		from("/fail/2/503", "x-envoy-retry-on: 5xx"), from("/fail/2/503", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 2"),
		from("/fail/1/503", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 0"), from("/fail/1/503", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: some"),
		from("/fail/1/418", "x-envoy-retry-on: retriable-status-codes", "x-envoy-retriable-status-codes: 400, 418"),
		from("/fail/1/200", "x-envoy-retry-on: retriable-headers", "x-envoy-retriable-header-names: x-a, X-Again", "x-answer: x-again=1"),
		from("/fail/1/200", "x-on: policy", "x-envoy-retriable-header-names: x-again", "x-answer: x-again=1"),
		from("/fail/1/200", "x-on: policy", "x-envoy-retry-on: 5xx", "x-answer: x-other=1"),
		from("/fail/1/200", "x-envoy-retry-grpc-on: unavailable", "x-answer: grpc-status=14"), from("/fail/1/200", "x-envoy-retry-grpc-on: internal", "x-answer: grpc-status=14"),
		from("/", "x-envoy-upstream-rq-timeout-ms: 7000"), from("/", "x-envoy-upstream-rq-timeout-ms: soon"), from("/", "x-envoy-upstream-rq-per-try-timeout-ms: 3000"),
		from("/", "x-envoy-upstream-rq-timeout-ms: 2000", "x-envoy-upstream-rq-per-try-timeout-ms: 3000"), from("/", "x-envoy-expected-rq-timeout-ms: 4000"),
		from("/", "x-envoy-expected-rq-timeout-ms: 4000", "x-envoy-upstream-rq-timeout-ms: 7000"), from("/", "x-envoy-upstream-alt-stat-name: a", "x-envoy-hedge-on-per-try-timeout: true"),
	}
	late := []ask{from("/hang/1", "x-envoy-upstream-rq-timeout-ms: 300"), from("/hang/1", "x-envoy-upstream-rq-timeout-ms: 300", "x-envoy-upstream-rq-timeout-alt-response: 1"),
		from("/hang/1", "x-envoy-upstream-rq-per-try-timeout-ms: 300", "x-envoy-retry-on: 5xx")}
	worlds := []*world{
		{name: "inside", manager: loopback, routes: routes, asks: append(late, asks...)},
		{name: "believing", manager: loopback, router: "respect_expected_rq_timeout: true", routes: routes, asks: asks},
		{name: "quiet", manager: loopback, router: "suppress_envoy_headers: true", routes: routes, asks: asks},
		{name: "outside", manager: "use_remote_address: true,", routes: routes, asks: asks},
	}
	compare(t, worlds, `
  - {name: up, UP}`, "cluster.up.upstream_rq_retry", "cluster.up.upstream_rq_retry_limit_exceeded", "cluster.up.upstream_rq_per_try_timeout", "cluster.up.upstream_rq_timeout",
		"cluster.up.upstream_rq_retry_success")
}
