package filters

import (
	"strings"
	"testing"
)

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
	const by = "rate_limits: [{actions: [{request_headers: {header_name: a, descriptor_key: a}}]}, {actions: [{request_headers: {header_name: b, descriptor_key: b}}, {generic_key: {descriptor_value: v}}]}], "
	const descriptors = "descriptors: [{entries: [{key: a, value: '1'}], token_bucket: {max_tokens: 1, fill_interval: 302.7s}}, {entries: [{key: b, value: '1'}, {key: generic_key, value: v}], token_bucket: {max_tokens: 2, tokens_per_fill: 2, fill_interval: 201.8s}}], enable_x_ratelimit_headers: DRAFT_VERSION_03, "
	with := func(h ...string) ask { return ask{header: h} }
	all := []ask{with("a: 1"), with("a: 1"), with("b: 1"), with("b: 1", "a: 2"), with("b: 1"), {}, grpc}
	const large = "token_bucket: {max_tokens: 5, fill_interval: 100.9s}, "
	perRoute := limited("perroute", on+large+descriptors+"stage: 1", with("a: 1"), with("a: 1"), with(), with())
	perRoute.routes = "[{match: {prefix: /}, route: {cluster: up, rate_limits: [{stage: 1, actions: [{request_headers: {header_name: a, descriptor_key: a}}]}, {actions: [{generic_key: {descriptor_value: v}}]}]}}]"
	perHost := limited("perhost", on+large+descriptors+"vh_rate_limits: INCLUDE", with("a: 1"), with("a: 1"))
	perHost.routes = "[{match: {prefix: /}, route: {cluster: up, rate_limits: [{actions: [{request_headers: {header_name: b, descriptor_key: b}}]}]}}]"
	perHost.host = "rate_limits: [{actions: [{request_headers: {header_name: a, descriptor_key: a}}]}]"
	compare(t, []*world{
		limited("described", on+large+by+descriptors, all...),
		limited("apart", on+large+by+descriptors+"always_consume_default_token_bucket: false", all...),
		limited("shadow", on+large+by+strings.ReplaceAll(descriptors, "s}}", "s}, shadow_mode: true}"), all...),
		limited("nodefault", on+by+descriptors, all...),
		limited("both", on+large+by+descriptors, with("a: 1", "b: 1"), with("a: 1", "b: 1"), with("b: 1"), with("b: 1")),
		limited("hits", on+large+strings.ReplaceAll(by, "}}]}", "}}], hits_addend: {number: 2}}")+descriptors, with("a: 1"), with("b: 1"), with("b: 1")),
		limited("connection", on+bucket+"local_rate_limit_per_downstream_connection: true", ask{}, ask{}, ask{}),
		limited("retry", on+bucket+"enable_retry_after_header: true", ask{}, ask{}, ask{}, grpc),
		limited("retrynone", on+"enable_retry_after_header: true, token_bucket: {max_tokens: 0, fill_interval: 1s}", ask{}),
		limited("retry503", on+bucket+"enable_retry_after_header: true, status: {code: 503}", ask{}, ask{}, ask{}),
		perRoute, perHost,
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
