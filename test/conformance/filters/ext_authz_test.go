package filters

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// authz is an authorization server. A request says what is answered, in YAML: the answer,
// or the code of a failure. It tells in a header what it was asked.
type authz struct {
	authv3.UnimplementedAuthorizationServer
}

func (authz) Check(_ context.Context, rq *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	h := rq.GetAttributes().GetRequest().GetHttp()
	answer := h.GetHeaders()["x-answer"]
	for _, f := range h.GetHeaderMap().GetHeaders() {
		if f.GetKey() == "x-answer" {
			answer = string(f.GetRawValue())
		}
	}
	slices.SortFunc(h.GetHeaderMap().GetHeaders(), func(a, b *corev3.HeaderValue) int { return cmp.Compare(a.GetKey(), b.GetKey()) })
	if answer == "fail" {
		return nil, status.Error(codes.Internal, "no")
	}
	rs := &authv3.CheckResponse{}
	j, err := yaml.YAMLToJSON([]byte(answer))
	if err == nil {
		err = protojson.Unmarshal(j, rs)
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	asked := proto.CloneOf(rq)
	a := asked.GetAttributes()
	a.Request.Time, a.Request.Http.Id = nil, ""
	if h.GetHeaders()["x-envoy-auth-partial-body"] == "true" {
		a.Request.Http.Size = 0 // what has come by then is chance
	}
	for _, p := range []*authv3.AttributeContext_Peer{a.Source, a.Destination} {
		p.GetAddress().GetSocketAddress().PortSpecifier = nil
	}
	text, err := protojson.Marshal(asked)
	if err != nil {
		return nil, err
	}
	var sorted any
	if err := json.Unmarshal(text, &sorted); err != nil {
		return nil, err
	}
	text, err = json.Marshal(sorted)
	if err != nil {
		return nil, err
	}
	told := &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "x-asked", Value: string(text)}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
	if ok := rs.GetOkResponse(); ok != nil {
		ok.Headers = append(ok.Headers, told)
	}
	if denied := rs.GetDeniedResponse(); denied != nil {
		denied.Headers = append(denied.Headers, told)
	}
	return rs, nil
}

func TestExtAuthz(t *testing.T) {
	port := beside.ServeGRPC(t, func(s *grpc.Server) { authv3.RegisterAuthorizationServer(s, authz{}) })
	const typ = "'@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."
	guarded := func(name, fields string, asks ...ask) *world {
		service := "grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 10s}, "
		if strings.Contains(fields, "grpc_service") {
			service = ""
		}
		return &world{name: name, filters: "[{name: m, typed_config: {" + typ + "ExtAuthz, transport_api_version: V3, " + service + fields + "}}]", asks: asks,
			counters: []string{"envoy_http_ext_authz_ok", "envoy_http_ext_authz_denied", "envoy_http_ext_authz_error", "envoy_http_ext_authz_disabled", "envoy_http_ext_authz_failure", "envoy_http_ext_authz_invalid"}}
	}
	says := func(answer string, headers ...string) ask {
		return ask{path: "/p?a=1&b=2&a=3", header: append(headers, "x-answer: "+answer)}
	}
	const grpcType = "content-type: application/grpc"
	const ok = "{status: {}, ok_response: {}}"
	set := func(fields string) string { return "{status: {}, ok_response: {" + fields + "}}" }
	deny := func(fields string) string { return "{status: {code: 7}, denied_response: {" + fields + "}}" }
	const framing = "an answer that frames the message or names its target is invalid"
	route := guarded("route", "", says(ok), ask{path: "/off"}, ask{path: "/more", header: []string{"x-answer: " + ok}})
	route.host = "typed_per_filter_config: {m: {" + typ + "ExtAuthzPerRoute, check_settings: {context_extensions: {a: host, b: host}}}}"
	route.routes = "[{match: {prefix: /off}, route: {cluster: up}, typed_per_filter_config: {m: {" + typ + "ExtAuthzPerRoute, disabled: true}}}, " +
		"{match: {prefix: /more}, route: {cluster: up}, typed_per_filter_config: {m: {" + typ + "ExtAuthzPerRoute, check_settings: {context_extensions: {b: route, c: route}}}}}, {match: {prefix: /}, route: {cluster: up}}]"
	post := func(body string) ask { return ask{method: "POST", body: body, header: []string{"x-answer: " + ok}} }
	const body = "with_request_body: {max_request_bytes: 5"
	metadata := guarded("metadata", "route_metadata_context_namespaces: [a, absent], typed_metadata_context_namespaces: [a], clear_route_cache: true, clear_route_cache_headers: [To]", says(ok),
		says(set("headers: [{header: {key: other, value: x}}, {header: {key: to, value: x}}]")), says(set("headers_to_remove: [to]"), "to: x"), ask{path: "/p?a=1", header: []string{"x-answer: " + set("query_parameters_to_set: [{key: c, value: d}]")}})
	metadata.routes = "[{match: {prefix: /, headers: [{name: other}, {name: to}]}, direct_response: {status: 299}}, {match: {prefix: /}, metadata: {filter_metadata: {a: {k: v}, b: {k: w}}}, route: {cluster: up}}]"
	rerouted := guarded("rerouted", "clear_route_cache: true", says(ok), says(set("headers: [{header: {key: to, value: other}}]")))
	rerouted.routes = "[{match: {prefix: /, headers: [{name: to, string_match: {exact: other}}]}, direct_response: {status: 299}}, {match: {prefix: /}, route: {cluster: up}}]"
	invalid := says(set("headers: [{header: {key: a, value: \"b\\r\\nc: d\"}}]"))
	hostile := guarded("hostile", "", ask{header: []string{"x-answer: " + set("headers: [{header: {key: content-length, value: '0'}}]")}, differs: framing},
		ask{header: []string{"x-answer: " + set("headers: [{header: {key: ':path', value: /admin}, append: false}]")}, differs: framing})
	hostile.counters = nil
	compare(t, []*world{
		guarded("plain", "", says(ok), says("{status: {}}"), says("{status: {code: 5}}"), says("{}"), says("fail"), says(ok, "a: 1", "a: 2", "cookie: x=y"),
			says(deny("")), says(deny("status: {code: Unauthorized}, body: go away, headers: [{header: {key: www-authenticate, value: Basic}}, {header: {key: set-cookie, value: a=b}}, {header: {key: set-cookie, value: c=d}}, {header: {key: content-type, value: text/html}}]")),
			says(deny("body: nothing"), grpcType), says("fail", grpcType), says("{status: {code: 7}, error_response: {}}"), ask{method: "POST", body: "xyz", header: []string{"x-answer: " + ok}},
			ask{method: "HEAD", header: []string{"x-answer: " + deny("body: x")}}),
		guarded("changes", "", says(set("headers: [{header: {key: a, value: new}}, {header: {key: b, value: new}}]"), "a: 1"),
			says(set("headers: [{header: {key: a, value: new}, append: true}, {header: {key: b, value: new}, append: true}]"), "a: 1"),
			says(set("headers: [{header: {key: a, value: new}, append: false}, {header: {key: b, value: new}, append: false}]"), "a: 1"),
			says(set("headers: [{header: {key: a, value: new}, append_action: ADD_IF_ABSENT}, {header: {key: b, value: new}, append_action: ADD_IF_ABSENT}]"), "a: 1"),
			says(set("headers: [{header: {key: a, value: new}, append_action: OVERWRITE_IF_EXISTS}, {header: {key: b, value: new}, append_action: OVERWRITE_IF_EXISTS}]"), "a: 1"),
			says(set("headers: [{header: {key: a, value: new}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}, {header: {key: b, value: new}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]"), "a: 1", "a: 2"),
			says(set("headers_to_remove: [a, Authorization, host, ':path']"), "a: 1", "authorization: x"),
			says(set("response_headers_to_add: [{header: {key: server, value: new}}, {header: {key: b, value: new}}, {header: {key: b, value: again}}]")),
			says(set("response_headers_to_add: [{header: {key: b, value: new}, append: true}, {header: {key: b, value: again}, append: true}]")),
			says(set("response_headers_to_add: [{header: {key: content-type, value: new}, append: false}]")),
			says(set("response_headers_to_add: [{header: {key: content-type, value: new}, append_action: ADD_IF_ABSENT}, {header: {key: b, value: new}, append_action: ADD_IF_ABSENT}]")),
			says(set("response_headers_to_add: [{header: {key: content-type, value: new}, append_action: OVERWRITE_IF_EXISTS}, {header: {key: b, value: new}, append_action: OVERWRITE_IF_EXISTS}]")),
			says(set("headers: [{header: {key: a, value: joined}, append: true}, {header: {key: a, value: set}, append: false}]"), "a: 1", "a: 2"),
			says(set("query_parameters_to_set: [{key: c, value: d}], query_parameters_to_remove: [a]"))),
		guarded("validated", "validate_mutations: true", invalid, says(set("headers: [{header: {key: 'a b', value: c}}]")), says(deny("headers: [{header: {key: a, value: \"b\\nc\"}}]"))),
		guarded("dead", "grpc_service: {envoy_grpc: {cluster_name: dead}}, status_on_error: {code: ServiceUnavailable}, failure_mode_allow_header_add: true", says(ok)),
		guarded("absent", "grpc_service: {envoy_grpc: {cluster_name: dead}}, failure_mode_allow: true, failure_mode_allow_header_add: true", says(ok), ask{header: []string{"x-envoy-auth-failure-mode-allowed: false"}, differs: outside}),
		guarded("allows", "grpc_service: {envoy_grpc: {cluster_name: dead}}, failure_mode_allow: true", says(ok)),
		guarded("some", "allowed_headers: {patterns: [{exact: x-answer}, {prefix: ':'}, {prefix: 'a'}]}, disallowed_headers: {patterns: [{exact: authorization}]}, include_peer_certificate: true, include_tls_session: true",
			says(ok, "authorization: secret", "a: 1", "b: 2")),
		guarded("never", "filter_enabled: {default_value: {numerator: 0}}", ask{}),
		guarded("denies", "filter_enabled: {default_value: {numerator: 0}}, deny_at_disable: {default_value: true, runtime_key: x}", ask{}),
		guarded("short", "max_denied_response_body_bytes: 3", says(deny("body: nothing"))),
		guarded("body", body+"}", post("abc"), post("abcde"), post("abcdef"), post("\xff"), ask{method: "POST", header: []string{"x-answer: " + ok}}),
		guarded("bytes", body+", pack_as_bytes: true}", post("abc"), post("\xff")),
		guarded("partial", body+", allow_partial_message: true}", post("abcde"), post("abcdef"), post(strings.Repeat("abcdefgh", 400))),
		guarded("raw", "encode_raw_headers: true, allowed_headers: {patterns: [{exact: x-answer}, {exact: a}]}, bootstrap_metadata_labels_key: labels", says(ok, "a: 1", "a: 2")),
		guarded("ignored", "enable_dynamic_metadata_ingestion: false", says("{status: {}, ok_response: {}, dynamic_metadata: {a: b}}")),
		route, rerouted, hostile, metadata,
	}, beside.Cluster("authz", port, true), beside.Cluster("dead", harness.FreePorts(t, 1)[0], true))
}
