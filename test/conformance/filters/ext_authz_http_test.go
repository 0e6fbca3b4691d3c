package filters

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// askHTTP is an authorization server. The path that is asked about says what it answers:
// ?status=, and as many fields as ?field=name:value; it tells in a header what it got.
func askHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var got []string
	for k, v := range r.Header {
		if k == "Content-Length" { // Envoy says that there is none of a GET
			continue
		}
		if k != "X-Envoy-Internal" && k != "X-Forwarded-For" && k != "X-Envoy-Expected-Rq-Timeout-Ms" { // Envoy tells about itself
			got = append(got, fmt.Sprintf("%s=%q", k, v))
		}
	}
	slices.Sort(got)
	w.Header().Set("x-asked", strings.ReplaceAll(fmt.Sprintf("%s %s %s %q %s", r.Method, r.Host, r.RequestURI, body, got), "\n", " "))
	w.Header().Set("content-type", "text/x")
	for _, f := range r.URL.Query()["field"] {
		name, value, _ := strings.Cut(f, ":")
		w.Header().Add(name, value)
	}
	status := 200
	if s := r.URL.Query().Get("status"); s != "" {
		status, _ = strconv.Atoi(s)
	}
	w.WriteHeader(status)
	io.WriteString(w, "it says "+strconv.Itoa(status))
}

func TestExtAuthzHTTP(t *testing.T) {
	const typ = "'@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."
	guarded := func(name, service, fields string, asks ...ask) *world {
		return &world{name: name, filters: "[{name: m, typed_config: {" + typ + "ExtAuthz, transport_api_version: V3, http_service: {server_uri: {uri: 'http://x', cluster: http, timeout: 10s}, " + service + "}, " + fields + "}}]", asks: asks,
			counters: []string{"envoy_http_ext_authz_ok", "envoy_http_ext_authz_denied", "envoy_http_ext_authz_error", "envoy_http_ext_authz_disabled", "envoy_http_ext_authz_failure", "envoy_http_ext_authz_invalid", "envoy_http_ext_authz_ignored"}}
	}
	const all = "authorization_response: {allowed_upstream_headers: {patterns: [{prefix: x-}]}}"
	get := func(query string, header ...string) ask { return ask{path: "/p?" + query, header: header} }
	post := func(body string, header ...string) ask {
		return ask{method: "POST", path: "/p", body: body, header: header}
	}
	const some = "with_request_body: {max_request_bytes: 5}, allowed_headers: {patterns: [{exact: a}, {prefix: x-}]}"
	route := guarded("route", all, "with_request_body: {max_request_bytes: 3}", ask{path: "/off"}, ask{method: "POST", path: "/none", body: "xyzuvw"},
		ask{method: "POST", path: "/more", body: "xyzuvw"}, ask{path: "/other"}, ask{method: "POST", path: "/p", body: "xyzuvw"})
	at := func(path, fields string) string {
		return "{match: {prefix: " + path + "}, route: {cluster: up}, typed_per_filter_config: {m: {" + typ + "ExtAuthzPerRoute, " + fields + "}}}"
	}
	route.routes = "[" + strings.Join([]string{at("/off", "disabled: true"), at("/none", "check_settings: {disable_request_body_buffering: true}"),
		at("/more", "check_settings: {with_request_body: {max_request_bytes: 10}}"),
		at("/other", "check_settings: {http_service: {server_uri: {uri: 'http://x', cluster: http, timeout: 10s}, path_prefix: /elsewhere, "+all+"}}"),
		"{match: {prefix: /}, route: {cluster: up}}"}, ", ") + "]"
	compare(t, []*world{
		guarded("plain", "", "", get(""), get("status=403"), get("status=401&field=www-authenticate:Basic&field=set-cookie:a&field=set-cookie:b"), get("status=302&field=location:/login"),
			get("status=500"), get("status=503"), get("status=204"), get("status=201"), get("status=299"), get("status=403", "content-type: application/grpc"), get("field=x-a:b"),
			ask{method: "HEAD", path: "/p?status=403"}, ask{method: "POST", path: "/p", body: "abc"}),
		guarded("told", all, "", get("a=1", "authorization: x", "cookie: y", "a: 1", "a: 2"), ask{method: "PUT", path: "/p", body: "abc", header: []string{"content-type: text/x"}}),
		guarded("allowed", all+", authorization_request: {headers_to_add: [{key: b, value: added}, {key: a, value: added}]}", "allowed_headers: {patterns: [{exact: a}, {exact: cookie}]}, disallowed_headers: {patterns: [{exact: cookie}]}",
			get("", "a: 1", "a: 2", "b: 1", "cookie: y", "c: 1")),
		guarded("older", all+", authorization_request: {allowed_headers: {patterns: [{exact: a}]}}", "", get("", "a: 1", "b: 1", "authorization: z")),
		guarded("prefix", all+", path_prefix: /check", "", get("a=1")),
		guarded("override", all+", path_override: /check", "", get("a=1")),
		guarded("lists", "authorization_response: {allowed_upstream_headers: {patterns: [{exact: x-set}]}, allowed_upstream_headers_to_append: {patterns: [{exact: x-add}]}, allowed_client_headers: {patterns: [{exact: x-client}]}, allowed_client_headers_on_success: {patterns: [{prefix: x-success}, {exact: server}]}, dynamic_metadata_from_headers: {patterns: [{prefix: x-meta}]}}", "",
			get("field=x-set:1&field=x-set:2&field=x-add:3&field=x-client:4&field=x-success:5&field=x-success:6", "x-set: 0", "x-add: 0"),
			get("status=403&field=x-set:1&field=x-add:3&field=x-client:4&field=x-success:5&field=location:/&field=www-authenticate:B&field=x-meta:7"),
			get("field=x-envoy-auth-headers-to-remove:a,%20B&field=x-add:1", "a: 1", "b: 1", "c: 1")),
		guarded("body", all, some, post("abc"), post("abcde", "a: 1"), post("abcdef"), post("", "a: 1"), ask{path: "/p", header: []string{"x-envoy-auth-partial-body: forged"}, differs: outside}, post("\xff\xfe")),
		guarded("partial", all, "with_request_body: {max_request_bytes: 5, allow_partial_message: true}", post("abc"), post("abcde"), post("abcdef"), post(strings.Repeat("abcdefgh", 400))),
		guarded("raw", all, "encode_raw_headers: true, allowed_headers: {patterns: [{exact: a}]}", get("", "a: 1", "a: 2")),
		guarded("allows", all, "failure_mode_allow: true, failure_mode_allow_header_add: true", get("status=500")),
		guarded("short", "", "max_denied_response_body_bytes: 3, status_on_error: {code: ServiceUnavailable}", get("status=403"), get("status=500")),
		route,
	}, beside.Cluster("http", beside.Serve(t, http.HandlerFunc(askHTTP), false), false), beside.Cluster("dead", harness.FreePorts(t, 1)[0], true))
}
