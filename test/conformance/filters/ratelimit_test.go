package filters

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// limits is a rate limit server. The value of a descriptor's entry "answer" says what is
// answered, in YAML, or "fail". It tells in headers what it was asked.
type limits struct {
	rlsv3.UnimplementedRateLimitServiceServer
}

func (limits) ShouldRateLimit(_ context.Context, rq *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	rs := &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}
	for _, d := range rq.GetDescriptors() {
		for _, e := range d.GetEntries() {
			if e.GetKey() != "answer" {
				continue
			}
			if e.GetValue() == "fail" {
				return nil, status.Error(codes.Internal, "no")
			}
			j, err := yaml.YAMLToJSON([]byte(e.GetValue()))
			if err == nil {
				err = protojson.Unmarshal(j, rs)
			}
			if err != nil {
				return nil, status.Error(codes.InvalidArgument, err.Error())
			}
		}
	}
	text, err := protojson.Marshal(rq)
	if err != nil {
		return nil, err
	}
	var sorted any
	if err := json.Unmarshal(text, &sorted); err != nil {
		return nil, err
	}
	text, err = json.Marshal(sorted)
	told := &corev3.HeaderValue{Key: "x-asked", Value: string(text)}
	rs.RequestHeadersToAdd = append(rs.RequestHeadersToAdd, told)
	rs.ResponseHeadersToAdd = append(rs.ResponseHeadersToAdd, told)
	return rs, err
}

func TestRateLimit(t *testing.T) {
	port := beside.ServeGRPC(t, func(s *grpc.Server) { rlsv3.RegisterRateLimitServiceServer(s, limits{}) })
	const typ = "'@type': type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3."
	const grpcType = "content-type: application/grpc"
	service := func(cluster string) string {
		return "rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: " + cluster + "}}}"
	}
	limited := func(name, fields, limits string, asks ...ask) *world {
		if !strings.Contains(fields, "rate_limit_service") {
			fields += ", " + service("limits")
		}
		return &world{name: name, filters: "[{name: m, typed_config: {" + typ + "RateLimit, domain: d, timeout: 10s, " + fields + "}}]", asks: asks,
			routes: "[{match: {prefix: /}, route: {cluster: up, " + limits + "}, metadata: {filter_metadata: {a: {b: {c: d}, num: 5}}}}]"}
	}
	const answer = "rate_limits: [{actions: [{request_headers: {header_name: x-answer, descriptor_key: answer}}]}]"
	says := func(answer string, headers ...string) ask { return ask{header: append(headers, "x-answer: "+answer)} }
	actions := func(name, list string, asks ...ask) *world {
		return limited(name, "stage: 0", "rate_limits: [{actions: ["+list+"]}]", asks...)
	}
	at := func(q string, header ...string) ask { return ask{path: "/p" + q, header: header} }
	const over = "{overall_code: OVER_LIMIT"
	const statuses = "statuses: [{code: OK, current_limit: {requests_per_unit: 10, unit: MINUTE, name: a}, limit_remaining: 5, duration_until_reset: 7.9s}, {code: OVER_LIMIT, current_limit: {requests_per_unit: 2, unit: HOUR}, limit_remaining: 0, duration_until_reset: 30s}, {code: OK}, {current_limit: {requests_per_unit: 3, unit: DAY, unit_multiplier: 2}, limit_remaining: 1}]"
	host := func(name, route, more string) *world {
		w := limited(name, "stage: 0", route, at(""))
		w.host = "rate_limits: [{actions: [{generic_key: {descriptor_value: host}}]}]" + more
		return w
	}
	const own = "rate_limits: [{actions: [{generic_key: {descriptor_value: route}}]}]"
	per := func(fields string) string {
		return ", typed_per_filter_config: {m: {" + typ + "RateLimitPerRoute, " + fields + "}}"
	}
	direct := limited("direct", "stage: 0", answer, at(""))
	direct.routes = "[{match: {prefix: /}, direct_response: {status: 299}}]"
	direct.host = "rate_limits: [{actions: [{generic_key: {descriptor_value: host}}]}]"
	gone := limited("gone", "stage: 0", answer, at(""))
	gone.routes = "[{match: {prefix: /}, route: {cluster: absent, " + own + "}}]"
	metadata := limited("metadata", "metadata_namespace: m", answer, says("{overall_code: OK, dynamic_metadata: {a: b}}"), says(over+", dynamic_metadata: {a: b}}"))
	worlds := []*world{
		limited("plain", "stage: 0", answer, at(""), says("{overall_code: OK}"), says(over+"}"), says(over+"}", grpcType), says("fail"),
			says(over+", raw_body: bm90aGluZw==}"), says(over+", raw_body: bm90aGluZw==, response_headers_to_add: [{key: content-type, value: text/x}, {key: a, value: b}, {key: a, value: c}]}"),
			says("{overall_code: OK, request_headers_to_add: [{key: a, value: 2}], response_headers_to_add: [{key: a, value: b}, {key: content-type, value: text/x}]}", "a: 1"),
			says(over+", "+statuses+"}"), ask{method: "HEAD", header: []string{"x-answer: " + over + "}"}}),
		limited("headers", "enable_x_ratelimit_headers: DRAFT_VERSION_03, enable_retry_after_header: true", answer, says("{overall_code: OK, "+statuses+"}"), says(over+", "+statuses+"}"), says(over+"}"), says(over+", "+statuses+", response_headers_to_add: [{key: retry-after, value: '1'}]}")),
		limited("status", "rate_limited_status: {code: 503}, enable_retry_after_header: true, rate_limited_as_resource_exhausted: true, disable_x_envoy_ratelimited_header: true, response_headers_to_add: [{header: {key: x-limited, value: really}}]", answer,
			says(over+", "+statuses+"}"), says(over+"}", grpcType), says("{overall_code: OK}")),
		limited("low", "rate_limited_status: {code: 200}", answer, says(over+"}")),
		limited("denies", "failure_mode_deny: true", answer, says("fail"), says("fail", grpcType)),
		limited("denies503", "failure_mode_deny: true, status_on_error: {code: 503}", answer, says("fail")),
		limited("dead", "failure_mode_deny: true, "+service("dead"), answer, says("{overall_code: OK}")),
		limited("allows", service("dead"), answer, says("{overall_code: OK}")),
		limited("never", "filter_enabled: {default_value: {numerator: 0}}", answer, says(over+"}")),
		limited("shown", "filter_enforced: {default_value: {numerator: 0}}, response_headers_to_add: [{header: {key: x-limited, value: really}}]", answer, says(over+", "+statuses+"}")),
		limited("external", "request_type: external", answer, says(over+"}")),
		limited("stage", "stage: 2", "rate_limits: [{stage: 1, actions: [{generic_key: {descriptor_value: one}}]}, {stage: 2, disable_key: x, actions: [{generic_key: {descriptor_value: two}}]}, {actions: [{generic_key: {descriptor_value: none}}]}]", at("")),
		limited("override", "stage: 0", "rate_limits: [{actions: [{generic_key: {descriptor_value: a}}], limit: {dynamic_metadata: {metadata_key: {key: x, path: [{key: yy}]}}}}]", at("")),
		limited("own", "rate_limits: [{actions: [{generic_key: {descriptor_value: filter}}], hits_addend: {number: 3}}]", own, at("")),
		actions("cluster", "{source_cluster: {}}, {destination_cluster: {}}, {generic_key: {descriptor_value: v}}, {generic_key: {descriptor_value: '%REQ(a)%', descriptor_key: k}}", at("")),
		actions("header", "{request_headers: {header_name: A, descriptor_key: a}}, {request_headers: {header_name: b, descriptor_key: b, skip_if_absent: true}}, {request_headers: {header_name: ':path', descriptor_key: path}}", at("?q", "a: 1", "a: 2"), at("", "b: 1"), at("", "a: 1", "b: 2"), at("", "a: ")),
		actions("skip", "{request_headers: {header_name: b, descriptor_key: b, skip_if_absent: true}}", at("")),
		actions("query", "{query_parameters: {query_parameter_name: a, descriptor_key: a}}, {query_parameters: {query_parameter_name: b, descriptor_key: b, skip_if_absent: true}}", at("?a=1&a=2"), at("?b=1"), at("?a=x%20y&b"), at("?a=")),
		actions("address", "{remote_address: {}}, {masked_remote_address: {}}, {masked_remote_address: {v4_prefix_mask_len: 8}}, {masked_remote_address: {v4_prefix_mask_len: 0}}, {remote_address_match: {descriptor_value: local, address_matcher: {ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}}}", at("")),
		actions("elsewhere", "{remote_address_match: {descriptor_value: local, address_matcher: {ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}], invert_match: true}}}", at("")),
		actions("match", "{header_value_match: {descriptor_value: v, headers: [{name: a, string_match: {exact: '1'}}, {name: b, present_match: true}]}}", at("", "a: 1", "b: 1"), at("", "a: 1")),
		actions("nomatch", "{header_value_match: {descriptor_value: v, descriptor_key: k, expect_match: false, headers: [{name: a}]}}", at("", "a: 1"), at("")),
		actions("querymatch", "{query_parameter_value_match: {descriptor_value: v, query_parameters: [{name: a, string_match: {exact: '1'}}]}}, {query_parameter_value_match: {descriptor_value: w, descriptor_key: k, expect_match: false, query_parameters: [{name: b}]}}", at("?a=1"), at("?a=2"), at("?a=1&b")),
		actions("data", "{metadata: {descriptor_key: a, metadata_key: {key: a, path: [{key: b}, {key: c}]}, source: ROUTE_ENTRY}}, {metadata: {descriptor_key: b, default_value: def, metadata_key: {key: a, path: [{key: num}]}, source: ROUTE_ENTRY}}, {metadata: {descriptor_key: c, skip_if_absent: true, metadata_key: {key: x, path: [{key: yy}]}}}", at("")),
		actions("nodata", "{metadata: {descriptor_key: c, metadata_key: {key: x, path: [{key: yy}]}}}", at("")),
		host("both", own, ""), host("host", "", ""), host("include", own+", include_vh_rate_limits: true", ""), host("per", own, per("vh_rate_limits: INCLUDE")),
		host("ignore", "", per("vh_rate_limits: IGNORE, domain: other")), host("list", own, per("domain: other, rate_limits: [{actions: [{generic_key: {descriptor_value: here}}]}]")),
		direct, gone, metadata,
		// Its name is the cluster's, whose counters all share.
		{name: "up", filters: "[]", asks: []ask{{}}, counters: []string{"envoy_cluster_ratelimit_"}},
	}
	compare(t, worlds, beside.Cluster("limits", port, true), beside.Cluster("dead", harness.FreePorts(t, 1)[0], true))
}
