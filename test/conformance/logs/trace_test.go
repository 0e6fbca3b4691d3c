package logs

import (
	"regexp"
	"testing"
)

const (
	trace  = "0af7651916cd43dd8448eb211c80319c"
	parent = "traceparent: 00-" + trace + "-b7ad6b7169203331-"
)

var identifier = regexp.MustCompile(`\b[0-9a-f]{16}\b|\b[0-9a-f]{32}\b`)

// newIDs names identifiers that are not the client's by their length.
func newIDs(s string) string {
	return identifier.ReplaceAllStringFunc(s, func(id string) string {
		if id == trace {
			return id
		}
		return map[int]string{16: "new64", 32: "new128"}[len(id)]
	})
}

// TestTrace compares what logs, fields and the filter of logs know of a request's trace.
func TestTrace(t *testing.T) {
	asks := []ask{{}, {header: []string{parent + "01"}}, {header: []string{parent + "00"}}, {header: []string{"traceparent: nonsense"}},
		{header: []string{"x-request-id: 0000ffff-0000-a000-8000-000000000000"}}, {header: []string{"x-request-id: 0000ffff-0000-b000-8000-000000000000", parent + "01"}},
		{header: []string{"x-request-id: 0000ffff-0000-a000-8000-000000000000", "traceparent: nonsense"}}, {header: []string{"x-request-id: short"}},
		{header: []string{"x-envoy-force-trace: 1"}}, {header: []string{"x-client-trace-id: me"}}, {path: "/%00"}, {path: "/none"}}
	traced := func(name, tracing, filter string) *world {
		return &world{name: name, filter: filter, asks: asks, scrub: newIDs,
			manager: `generate_request_id: true, preserve_external_request_id: true, tracing: {` + tracing + `provider: {name: envoy.tracers.opentelemetry, typed_config: {
				"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, service_name: s, grpc_service: {envoy_grpc: {cluster_name: up2}}}}}`,
			config: `response_headers_to_add: [{header: {key: x-trace, value: "%TRACE_ID% %SPAN_ID%"}}]`,
			routes: `[{match: {path: /}, direct_response: {status: 200}}]`,
			log:    `log_format: {text_format_source: {inline_string: "%REQ(:PATH)% %TRACE_ID% %SPAN_ID%\n"}}`}
	}
	compare(t, []*world{
		traced("all", "", ""),
		traced("few", "random_sampling: {value: 0}, ", ""),
		traced("forced", "", "{traceable_filter: {}}"),
		traced("never", "overall_sampling: {value: 0}, ", "{traceable_filter: {}}"),
	})
}
