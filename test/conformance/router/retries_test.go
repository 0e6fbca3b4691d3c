package router

import (
	"testing"

	"github.com/usher-mesh/usher/test/conformance/beside"
)

// TestSameRetries: what is sent again, when, and what is said if it is not.
func TestSameRetries(t *testing.T) {
	again := func(path string, header ...string) ask { return ask{path: path, header: header} }
	const soon = "retry_back_off: {base_interval: 0.001s}"
	worlds := []*world{
		{name: "policy", routes: `[
      {name: never, match: {prefix: /fail/, headers: [{name: x-never, present_match: true}]}, route: {cluster: up}},
      {name: reset, match: {prefix: /, headers: [{name: x-on, string_match: {exact: reset}}]}, route: {cluster: fresh, retry_policy: {retry_on: reset, num_retries: 1, per_try_timeout: 0.2s, ` + soon + `}}},
      {name: fresh, match: {prefix: /reset}, route: {cluster: fresh, timeout: 5s, retry_policy: {retry_on: 5xx, num_retries: 2, ` + soon + `}}},
      {name: codes, match: {prefix: /, headers: [{name: x-on, string_match: {exact: codes}}]}, route: {cluster: up, retry_policy: {retry_on: retriable-status-codes, retriable_status_codes: [504], per_try_timeout: 0.2s, ` + soon + `}}},
      {name: dead, match: {prefix: /dead}, route: {cluster: dead, retry_policy: {retry_on: connect-failure, num_retries: 2, ` + soon + `}}},
      {name: unsent, match: {prefix: /unsent}, route: {cluster: dead, retry_policy: {retry_on: reset-before-request, num_retries: 2, ` + soon + `}}},
      {name: full, match: {prefix: /, headers: [{name: x-on, string_match: {exact: full}}]}, route: {cluster: full, retry_policy: {retry_on: 5xx, ` + soon + `}}},
      {name: any, match: {prefix: /}, route: {cluster: up, timeout: 5s, retry_policy: {retry_on: 5xx, num_retries: 2, ` + soon + `}}}]`,
			host: "include_request_attempt_count: true, include_attempt_count_in_response: true,",
			asks: []ask{again("/fail/0"), again("/fail/1/503"), again("/fail/2/500"), again("/fail/3/502"), again("/fail/1/404"), again("/fail/1/503", "x-never: 1"),
				again("/reset/1"), again("/reset/3"), again("/reset/1", "x-on: reset"), again("/hang/1", "x-on: reset"), again("/hang/2", "x-on: reset"), again("/hang/1", "x-on: codes"),
				again("/dead"), again("/unsent"), again("/fail/1/503", "x-on: full"), {method: "POST", path: "/fail/1/503", body: "content"}},
		},
		{name: "asked", routes: `[
      {name: late, match: {prefix: /, headers: [{name: x-on, string_match: {exact: late}}]}, route: {cluster: up, timeout: 0.5s, retry_policy: {retry_on: 5xx, ` + soon + `,
        rate_limited_retry_back_off: {reset_headers: [{name: Retry-After, format: SECONDS}]}}}},
      {name: bound, match: {prefix: /, headers: [{name: x-on, string_match: {exact: bound}}]}, route: {cluster: up, retry_policy: {retry_on: 5xx, ` + soon + `,
        rate_limited_retry_back_off: {reset_headers: [{name: Retry-After, format: SECONDS}], max_interval: 1.5s}}}},
      {name: any, match: {prefix: /}, route: {cluster: up, retry_policy: {retry_on: "retriable-status-codes,envoy-ratelimited", retriable_status_codes: [429], ` + soon + `,
        rate_limited_retry_back_off: {reset_headers: [{name: Retry-After, format: SECONDS}, {name: x-ratelimit-reset, format: UNIX_TIMESTAMP}]}}}}]`,
			asks: []ask{again("/fail/1/429", "x-answer: retry-after=1"), again("/fail/1/429", "x-answer: retry-after=0"), again("/fail/1/429", "x-answer: retry-after=soon"),
				again("/fail/1/503", "x-answer: retry-after=1"), again("/fail/1/429", "x-answer: x-ratelimit-reset=1000"), again("/fail/1/503", "x-answer: x-envoy-ratelimited=true"),
				again("/fail/1/503", "x-on: late", "x-answer: retry-after=100"), again("/fail/1/503", "x-on: bound", "x-answer: retry-after=2"), again("/fail/1/503", "x-on: bound", "x-answer: retry-after=1")},
		},
		{name: "idle", routes: `[
      {name: again, match: {prefix: /, headers: [{name: x-on, string_match: {exact: again}}]}, route: {cluster: up, retry_policy: {retry_on: 5xx, per_try_idle_timeout: 0.3s, ` + soon + `}}},
      {name: stream, match: {prefix: /, headers: [{name: x-on, string_match: {exact: stream}}]}, route: {cluster: up, idle_timeout: 0.3s}},
      {name: total, match: {prefix: /, headers: [{name: x-on, string_match: {exact: total}}]}, route: {cluster: up, timeout: 0.3s}},
      {name: try, match: {prefix: /, headers: [{name: x-on, string_match: {exact: try}}]}, route: {cluster: apart, retry_policy: {retry_on: 5xx, per_try_timeout: 0.3s, ` + soon + `}}},
      {name: once, match: {prefix: /}, route: {cluster: up, retry_policy: {per_try_idle_timeout: 0.3s}}}]`,
			asks: []ask{again("/hang/1", "x-on: again"), again("/hang/9", "x-on: again"), again("/hang/1"), again("/half/1"), again("/half/1", "x-on: again"),
				again("/hang/1", "x-on: stream"), again("/half/1", "x-on: stream"), again("/hang/1", "x-on: total"), again("/half/1", "x-on: total"),
				{method: "POST", path: "/", body: "content", slow: true}, {method: "POST", path: "/", body: "content", slow: true, header: []string{"x-on: try"}},
				{method: "POST", path: "/hang/1", body: "content", slow: true}, {method: "POST", path: "/hang/1", body: "content", slow: true, header: []string{"x-on: try"}, differs: "content that has not come as a whole is not kept, so not sent again: the cluster is one whose counters are not compared"}},
		},
	}
	compare(t, worlds, `
  - {name: up, UP}
  - {name: apart, UP}
  - {name: fresh, UP, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": `+beside.Types+`upstreams.http.v3.HttpProtocolOptions,
     explicit_http_config: {http_protocol_options: {}}, common_http_protocol_options: {max_requests_per_connection: 1}}}}
  - {name: full, UP, circuit_breakers: {thresholds: [{max_retries: 0}]}}
  - {name: dead, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: dead, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}}`,
		"cluster.up.upstream_rq_retry", "cluster.up.upstream_rq_retry_limit_exceeded", "cluster.up.upstream_rq_retry_backoff_exponential",
		"cluster.up.upstream_rq_retry_backoff_ratelimited", "cluster.up.upstream_rq_per_try_timeout", "cluster.up.upstream_rq_per_try_idle_timeout",
		"cluster.up.upstream_rq_retry_success", "cluster.full.upstream_rq_retry_overflow", "cluster.dead.upstream_rq_retry")
}
