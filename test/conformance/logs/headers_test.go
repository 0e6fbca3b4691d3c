package logs

import "testing"

// TestHeaders compares fields that routes make by formats.
func TestHeaders(t *testing.T) {
	const add = `[{header: {key: x-a, value: "%REQ(a)%|%REQ(none)%|%REQ(none?b):2%|100%%"}}, {header: {key: x-none, value: "%REQ(none)%"}},
		{header: {key: x-kept, value: "%REQ(none)%"}, keep_empty_value: true}, {header: {key: x-route, value: "%ROUTE_NAME% %UPSTREAM_CLUSTER% %PROTOCOL% %RESPONSE_FLAGS% %BYTES_RECEIVED% %RESPONSE_CODE%"}},
		{header: {key: a, value: "%REQ(a)%+"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}, {header: {key: x-copy, value: "%REQ(a)%"}},
		{header: {key: x-path, value: "%REQ(:PATH)% %PATH(NQ)% %QUERY_PARAM(q)% %REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:SCHEME)%"}}, {header: {key: x-absent, value: "%REQ(a)%"}, append_action: ADD_IF_ABSENT},
		{header: {key: x-secret, value: "%REQ(authorization)% %REQ(cookie)%"}}, {header: {key: x-host, value: "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %VIRTUAL_CLUSTER_NAME% %REQUESTED_SERVER_NAME%"}}]`
	const answer = `[{header: {key: x-r, value: "%RESP(x-up)% %RESP(none)% %RESP(:status)% %ROUTE_NAME% %UPSTREAM_PROTOCOL% %REQ(b)% %GRPC_STATUS%"}}, {header: {key: x-up, value: "%RESP(x-up)% two"}, append_action: OVERWRITE_IF_EXISTS}]`
	asks := []ask{{}, {path: "/x?q=1&q=2", header: []string{"a: 1", "b: abcdef", "authorization: Basic eDp5", "cookie: c=d"}}, {method: "POST", body: "xyz", http2: true},
		{path: "/status/404"}, {path: "/direct", header: []string{"a: 1"}}, {path: "/dead"}, {path: "/redirect"}, {path: "/w?q=%20x"}, {path: "/h2"}}
	const routes = `[{name: direct, match: {prefix: /direct}, direct_response: {status: 200, body: {inline_string: hello}}}, {name: dead, match: {prefix: /dead}, route: {cluster: dead}},
		{name: redirect, match: {prefix: /redirect}, redirect: {path_redirect: /x}}, {name: h2, match: {prefix: /h2}, route: {cluster: up2}},
		{name: w, match: {prefix: /w}, route: {weighted_clusters: {clusters: [{name: up, weight: 1, request_headers_to_add: [{header: {key: x-w, value: "%UPSTREAM_CLUSTER% %REQ(:path)%"}}],
			response_headers_to_add: [{header: {key: x-w, value: "%RESPONSE_CODE%"}}]}]}, prefix_rewrite: /y}, request_headers_to_add: [{header: {key: x-of, value: "route %REQ(x-w)%"}}]},
		{name: r, match: {prefix: /}, route: {cluster: up}}]`
	const log = `log_format: {text_format_source: {inline_string: "%REQ(:method)% %REQ(:path)% %RESPONSE_CODE% %REQ(x-a)% %RESP(x-r)% %REQ(a)%\n"}}`
	compare(t, []*world{
		{name: "host", host: "request_headers_to_add: " + add + ", response_headers_to_add: " + answer, routes: routes, asks: asks, log: log},
		{name: "config", config: "request_headers_to_add: " + add + ", response_headers_to_add: " + answer, routes: routes, asks: asks, log: log},
	})
}
