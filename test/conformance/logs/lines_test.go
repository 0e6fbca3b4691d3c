package logs

import (
	"crypto/tls"
	"regexp"
	"testing"
)

// several is what lines of all kinds are compared for.
var several = []ask{{path: "/a?x=%41&y=%20b&x=2", header: []string{"a: 1", "b: abcdef"}}, {method: "POST", path: "/status/503", body: "xyz"}, {http2: true, header: []string{"a: 2"}},
	{path: "/dead"}, {path: "/direct"}, {path: "/none"}, {path: "/h2"}, {path: "/redirect"}, {method: "HEAD", path: "/h2"},
	{method: "POST", http2: true, body: "x", header: []string{"content-type: application/grpc", "x-status: 5"}}, {method: "POST", path: "/dead", http2: true, header: []string{"content-type: application/grpc"}}}

const severalRoutes = `[{name: direct, match: {prefix: /direct}, direct_response: {status: 200, body: {inline_string: hello}}}, {name: dead, match: {prefix: /dead}, route: {cluster: dead}},
	{name: none, match: {prefix: /none}, route: {cluster: none}}, {name: h2, match: {prefix: /h2}, route: {cluster: up2, prefix_rewrite: /rewritten}},
	{name: redirect, match: {prefix: /redirect}, redirect: {path_redirect: /x}}, {name: r, match: {prefix: /}, route: {cluster: up}}]`

// TestLines compares lines of text and of JSON.
func TestLines(t *testing.T) {
	text := func(name, format string) *world {
		return &world{name: name, routes: severalRoutes, asks: several, log: `log_format: {text_format_source: {inline_string: "` + format + `\n"}}`}
	}
	structured := func(name, format string) *world {
		return &world{name: name, routes: severalRoutes, asks: several, json: true, log: "log_format: {" + format + "}"}
	}
	compare(t, []*world{
		text("request", "%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)% %REQ(A)% %REQ(NONE?B):3% %REQ(NONE)% %PROTOCOL% %PATH% %PATH(NQ:PATH)% %PATH(WQ:ORIG)% %QUERY_PARAM(x)% %QUERY_PARAM(y)% %QUERY_PARAM(z)% %QUERY_PARAMS% %QUERY_PARAMS(DECODED)% %STREAM_INFO_REQ(A)%"),
		text("response", "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESP(X-UP)% %RESP(NONE)% %RESP(CONTENT-TYPE?X)% %RESP(:STATUS)% %TRAILER(GRPC-STATUS)% %BYTES_RECEIVED% %BYTES_SENT% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER% %ACCESS_LOG_TYPE% %LOCAL_REPLY_BODY% %CUSTOM_FLAGS%"),
		text("way", "%ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_PROTOCOL% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %VIRTUAL_CLUSTER_NAME% %TRACE_ID% %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_HOST%"),
		text("conn", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_CERT_V_END% %DOWNSTREAM_TRANSPORT_FAILURE_REASON% %HOSTNAME% %ENVIRONMENT(HOME)% %ENVIRONMENT(NO_SUCH)% %ROUNDTRIP_DURATION% %BYTES_RETRANSMITTED%"),
		text("state", "%DYNAMIC_METADATA(x)% %DYNAMIC_METADATA(x:y)% %FILTER_STATE(x)% %FILTER_STATE(x:PLAIN)% %UPSTREAM_FILTER_STATE(x)% %CLUSTER_METADATA(ns:k)% %CLUSTER_METADATA(ns:deep:list)% %CLUSTER_METADATA(ns:no)% %CLUSTER_METADATA(no)%"),
		text("sizes", "%REQUEST_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%"),
		structured("typed", `json_format: {code: "%RESPONSE_CODE%", none: "%REQ(NONE)%", text: "%REQ(:METHOD)%", both: "%REQ(NONE)%/%RESPONSE_CODE%", fixed: 7, half: 1.5, flags: "%RESPONSE_FLAGS%", sent: "%BYTES_SENT%", plain: x, empty: "", deep: {list: ["%RESPONSE_CODE%", "%REQ(NONE)%", {m: "%REQ(NONE)%"}, 3], m: "%REQ(NONE)%"}, port: "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", grpc: "%GRPC_STATUS_NUMBER%", tries: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}`),
		structured("omitted", `omit_empty_values: true, json_format: {code: "%RESPONSE_CODE%", none: "%REQ(NONE)%", both: "%REQ(NONE)%/%RESPONSE_CODE%", flags: "%RESPONSE_FLAGS%", empty: "", deep: {list: ["%RESPONSE_CODE%", "%REQ(NONE)%", {m: "%REQ(NONE)%"}, 3], m: "%REQ(NONE)%"}, gone: {m: "%REQ(NONE)%"}, list: ["%REQ(NONE)%"], lists: [["%REQ(NONE)%"], []], bare: {}, void: []}`),
		structured("sorted", `json_format_options: {sort_properties: true}, json_format: {b: "%RESPONSE_CODE%", a: "%ROUTE_NAME%"}`),
	})
}

// TestTimes compares which times of a request are known, and lines that are written when it begins.
func TestTimes(t *testing.T) {
	c := certify(t, "server")
	asks := append([]ask{{method: "POST", path: "/direct", body: "x"}, {path: "/secure"}, {path: "/secure"}}, several...)
	routes := "[{match: {prefix: /secure}, route: {cluster: secure}}, " + severalRoutes[1:]
	of := func(name, format string) *world {
		return &world{name: name, routes: routes, asks: asks, log: `log_format: {text_format_source: {inline_string: "` + format + `\n"}}`,
			scrub: func(s string) string { return regexp.MustCompile(`\b\d+\b`).ReplaceAllString(s, "n") }}
	}
	begun := of("begun", "%ACCESS_LOG_TYPE% %REQ(:METHOD)% %REQ(:PATH)% %REQ(X-FORWARDED-PROTO)% %ROUTE_NAME% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST_NAME_WITHOUT_PORT% %BYTES_SENT%")
	begun.manager, begun.twice, begun.scrub = "access_log_options: {flush_access_log_on_new_request: true}", true, nil
	compare(t, []*world{
		of("durations", "%REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %DURATION% %COMMON_DURATION(DS_RX_BEG:DS_RX_END)% %COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)% %COMMON_DURATION(DS_TX_BEG:DS_TX_END:ns)% %COMMON_DURATION(US_RX_BEG:US_RX_END:ms)%"),
		of("connected", "%COMMON_DURATION(US_CX_BEG:US_CX_END:ns)% %COMMON_DURATION(US_CX_END:US_HS_END:ns)% %COMMON_DURATION(US_CX_BEG:US_RX_BEG)%"),
		begun,
	}, c.cluster(t, "secure", "server", "", false, tls.NoClientCert))
}

// TestFilters compares which requests have a line.
func TestFilters(t *testing.T) {
	filtered := func(name, filter string) *world {
		return &world{name: name, routes: severalRoutes, asks: several, filter: "{" + filter + "}", log: `log_format: {text_format_source: {inline_string: "%REQ(:path)% %RESPONSE_CODE%\n"}}`}
	}
	value := func(n string) string { return "value: {default_value: " + n + ", runtime_key: k}" }
	compare(t, []*world{
		filtered("ge", "status_code_filter: {comparison: {op: GE, "+value("400")+"}}"),
		filtered("le", "status_code_filter: {comparison: {op: LE, "+value("301")+"}}"),
		filtered("eq", "status_code_filter: {comparison: {op: EQ, "+value("503")+"}}"),
		filtered("ne", "status_code_filter: {comparison: {op: NE, "+value("200")+"}}"),
		filtered("short", "duration_filter: {comparison: {op: LE, "+value("100000")+"}}"),
		filtered("long", "duration_filter: {comparison: {op: GE, "+value("100000")+"}}"),
		filtered("health", "not_health_check_filter: {}"),
		filtered("trace", "traceable_filter: {}"),
		filtered("all", "runtime_filter: {runtime_key: k, percent_sampled: {numerator: 100}}"),
		filtered("no", "runtime_filter: {runtime_key: k, use_independent_randomness: true}"),
		filtered("and", "and_filter: {filters: [{status_code_filter: {comparison: {op: EQ, "+value("503")+"}}}, {response_flag_filter: {}}]}"),
		filtered("or", "or_filter: {filters: [{status_code_filter: {comparison: {op: EQ, "+value("301")+"}}}, {response_flag_filter: {flags: [NC, UF]}}]}"),
		filtered("header", "header_filter: {header: {name: a, string_match: {exact: '1'}}}"),
		filtered("flag", "response_flag_filter: {flags: [UF]}"),
		filtered("grpc", "grpc_status_filter: {statuses: [NOT_FOUND, UNAVAILABLE]}"),
		filtered("ungrpc", "grpc_status_filter: {statuses: [UNKNOWN, UNAVAILABLE], exclude: true}"),
		filtered("metadata", "metadata_filter: {matcher: {filter: f, path: [{key: k}], value: {string_match: {exact: x}}}}"),
		filtered("unmetadata", "metadata_filter: {matcher: {filter: f, path: [{key: k}], value: {string_match: {exact: x}}}, match_if_key_not_found: false}"),
		filtered("type", "log_type_filter: {types: [DownstreamEnd]}"),
		filtered("untype", "log_type_filter: {types: [DownstreamEnd], exclude: true}"),
	})
}
