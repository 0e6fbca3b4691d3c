package filters

import "testing"

const outside = "what clients without mTLS say of themselves in x-envoy-* is dropped"

const faultType = "{name: m, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, "

func TestFault(t *testing.T) {
	always := "percentage: {numerator: 100}"
	grpc := []string{"content-type: application/grpc"}
	plain := []ask{{}, {header: grpc, method: "POST"}, {method: "HEAD"}, {method: "POST", body: "x"}}
	compare(t, []*world{
		{name: "http", filters: "[" + faultType + "abort: {http_status: 555, " + always + "}}}]", asks: plain, counters: []string{"envoy_http_fault_"}},
		{name: "body", filters: "[" + faultType + "abort: {http_status: 429, response_body: stop, " + always + "}, filter_metadata: {a: b, c: 1}}}]", asks: plain},
		{name: "grpc", filters: "[" + faultType + "abort: {grpc_status: 8, " + always + "}}}]", asks: plain},
		{name: "never", filters: "[" + faultType + "abort: {http_status: 555}, delay: {fixed_delay: 10s}}}]", asks: plain, counters: []string{"envoy_http_fault_"}},
		{name: "delay", filters: "[" + faultType + "delay: {fixed_delay: 0.02s, " + always + "}, filter_metadata: {a: b}}}]", asks: plain, counters: []string{"envoy_http_fault_"}},
		{name: "both", filters: "[" + faultType + "delay: {fixed_delay: 0.02s, " + always + "}, abort: {http_status: 503, " + always + "}}}]", asks: plain, counters: []string{"envoy_http_fault_"}},
		{name: "late", filters: "[" + faultType + "delay: {fixed_delay: 0.02s, " + always + "}}}]", routes: "[{match: {prefix: /none}, route: {cluster: none}}]", asks: []ask{{path: "/none"}, {path: "/"}}},
		{name: "idle", filters: "[" + faultType + "delay: {fixed_delay: 15s, " + always + "}}}]", routes: "[{match: {prefix: /}, route: {cluster: up, idle_timeout: 0.1s}}]", asks: []ask{{}}},
		{name: "header", filters: "[" + faultType + "abort: {header_abort: {}, " + always + "}, delay: {header_delay: {}, " + always + "}}}]", asks: []ask{
			{}, {header: []string{"x-envoy-fault-abort-request: 599"}, differs: outside},
		}},
		{name: "matched", filters: "[" + faultType + "abort: {http_status: 503, " + always + "}, headers: [{name: a, string_match: {exact: b}}, {name: c}], downstream_nodes: [one]}}]", asks: []ask{
			{}, {header: []string{"a: b"}}, {header: []string{"a: b", "c: d"}},
			{header: []string{"a: b", "c: d", "x-envoy-downstream-service-node: one"}, differs: outside},
		}},
		{name: "cluster", filters: "[" + faultType + "abort: {http_status: 503, " + always + "}, upstream_cluster: up}}]", routes: "[{match: {prefix: /w}, route: {weighted_clusters: {clusters: [{name: up, weight: 1}]}}}, " +
			"{match: {prefix: /h}, route: {cluster_header: to}}, {match: {prefix: /d}, direct_response: {status: 204}}, {match: {prefix: /o}, route: {cluster: other}}, {match: {prefix: /}, route: {cluster: up}}]",
			asks: []ask{{}, {path: "/w"}, {path: "/d"}, {path: "/o"}, {path: "/h", header: []string{"to: up"}}, {path: "/h", header: []string{"to: x"}}}},
		{name: "slow", filters: "[" + faultType + "response_rate_limit: {fixed_limit: {limit_kbps: 1}, " + always + "}, filter_metadata: {a: b}}}]", asks: plain, counters: []string{"envoy_http_fault_"}},
		{name: "slowabort", filters: "[" + faultType + "response_rate_limit: {fixed_limit: {limit_kbps: 1}, " + always + "}, abort: {http_status: 503, " + always + "}}}]", asks: plain, counters: []string{"envoy_http_fault_"}},
		{name: "slowheader", filters: "[" + faultType + "response_rate_limit: {header_limit: {}, " + always + "}}}]", asks: []ask{{}}, counters: []string{"envoy_http_fault_"}},
		{name: "slownone", filters: "[" + faultType + "max_active_faults: 0, response_rate_limit: {fixed_limit: {limit_kbps: 1}, " + always + "}}}]", asks: []ask{{}}, counters: []string{"envoy_http_fault_"}},
		{name: "none", filters: "[" + faultType + "abort: {http_status: 503, " + always + "}, max_active_faults: 0}}]", asks: []ask{{}}, counters: []string{"envoy_http_fault_"}},
		{name: "route", filters: "[" + faultType + "}}]", routes: "[{match: {prefix: /a}, route: {cluster: up}, typed_per_filter_config: {m: {'@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, abort: {http_status: 418, " + always + "}}}}, " +
			"{match: {prefix: /}, route: {cluster: up}}]", asks: []ask{{}, {path: "/a"}}, counters: []string{"envoy_http_fault_"}},
	})
}
