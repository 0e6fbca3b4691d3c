package filters

import "testing"

func TestLocalRateLimit(t *testing.T) {
	const limit = "'@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, "
	const on = "filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100}}, "
	const bucket = "token_bucket: {max_tokens: 2, tokens_per_fill: 1, fill_interval: 100.9s}, "
	limited := func(name, fields string, asks ...ask) *world {
		return &world{name: name, filters: "[{name: m, typed_config: {" + limit + "stat_prefix: " + name + ", " + fields + "}}]", asks: asks, counters: []string{"envoy_http_local_rate_limit_"}}
	}
	grpc := ask{method: "POST", header: []string{"content-type: application/grpc"}}
	route := limited("route", "", ask{path: "/a"}, ask{path: "/a"}, ask{path: "/b"}, ask{path: "/b"}, ask{path: "/c"}, ask{path: "/c"})
	route.host = "typed_per_filter_config: {m: {" + limit + "stat_prefix: route, " + on + "token_bucket: {max_tokens: 1, fill_interval: 100s}}}"
	route.routes = "[{match: {prefix: /a}, route: {cluster: up}, typed_per_filter_config: {m: {" + limit + "stat_prefix: route, " + on + "status: {code: 503}, token_bucket: {max_tokens: 1, fill_interval: 100s}}}}, " +
		"{match: {prefix: /b}, route: {cluster: up}, typed_per_filter_config: {m: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}}, " +
		"{match: {prefix: /}, route: {cluster: up}}]"
	compare(t, []*world{
		limited("plain", on+bucket, ask{}, ask{}, ask{}, grpc, ask{method: "HEAD"}),
		limited("headers", on+bucket+"enable_x_ratelimit_headers: DRAFT_VERSION_03, response_headers_to_add: [{header: {key: a, value: b}}, {header: {key: server, value: c}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]", ask{}, ask{}, ask{}, ask{}),
		limited("status", on+bucket+"status: {code: 503}, rate_limited_as_resource_exhausted: true", ask{}, ask{}, ask{}, grpc),
		limited("low", on+bucket+"status: {code: 200}", ask{}, ask{}, ask{}),
		limited("none", on+"enable_x_ratelimit_headers: DRAFT_VERSION_03, token_bucket: {max_tokens: 0, fill_interval: 1s}", ask{}, grpc),
		limited("disabled", bucket, ask{}, ask{}, ask{}),
		limited("unenforced", "filter_enabled: {default_value: {numerator: 100}}, enable_x_ratelimit_headers: DRAFT_VERSION_03, request_headers_to_add_when_not_enforced: [{header: {key: x-limited, value: really}}], "+bucket, ask{}, ask{}, ask{}),
		limited("unlimited", on, ask{}, ask{}),
		route,
	})
}
