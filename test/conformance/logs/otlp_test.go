package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// collector takes records over HTTP and over gRPC.
type collector struct {
	collectorv1.UnimplementedLogsServiceServer
	mu      sync.Mutex
	records []string // as text, less what is different each time
	others  []string // what is said of the sender
	bodies  bytes.Buffer
}

func (c *collector) Export(_ context.Context, rq *collectorv1.ExportLogsServiceRequest) (*collectorv1.ExportLogsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := proto.Marshal(rq)
	c.bodies.Write(b)
	for _, rl := range rq.ResourceLogs {
		c.others = append(c.others, prototext.MarshalOptions{}.Format(rl.Resource))
		for _, sl := range rl.ScopeLogs {
			for _, r := range sl.LogRecords {
				now := uint64(time.Now().UnixNano())
				recent := r.TimeUnixNano < now && r.TimeUnixNano > now-uint64(time.Minute)
				r.TimeUnixNano = 0
				known := fmt.Sprintf("%x", r.TraceId) == trace
				ids := fmt.Sprintf("recent=%v trace=%d known=%v span=%d", recent, len(r.TraceId), known, len(r.SpanId))
				r.TraceId, r.SpanId = nil, nil
				slices.SortStableFunc(r.Attributes, func(a, b *commonv1.KeyValue) int { return strings.Compare(a.Key, b.Key) })
				c.records = append(c.records, newIDs(strings.ReplaceAll(ids+" "+prototext.MarshalOptions{}.Format(r), "  ", " ")))
			}
		}
	}
	return &collectorv1.ExportLogsServiceResponse{}, err
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	rq := new(collectorv1.ExportLogsServiceRequest)
	if err := proto.Unmarshal(b, rq); err != nil || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Key") != "k" {
		http.Error(w, "not a log", 400)
		return
	}
	c.Export(r.Context(), rq)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.records)
}

// TestOTLP holds that a collector of OpenTelemetry is told of requests what Envoy tells it,
// less secrets.
func TestOTLP(t *testing.T) {
	const (
		jwt  = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJJc3N1ZXIiLCJzdWIiOiJBbGljZSJ9.c2lnbmF0dXJlT2ZUaGVUb2tlbjAx"
		rpc  = `grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 5s}, `
		over = `http_service: {http_uri: {uri: "http://collector/v1/logs", cluster: collector, timeout: 5s}, request_headers_to_add: [{header: {key: x-key, value: k}}]}, `
		body = `body: {string_value: "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %REQ(X-NONE)% %TRACE_ID%"}, `
		tags = `custom_tags: [{tag: lit, literal: {value: a}}, {tag: head, request_header: {name: x-tag}}, {tag: miss, request_header: {name: x-none}},
			{tag: def, request_header: {name: x-none, default_value: d}}, {tag: meta, metadata: {kind: {cluster: {}}, metadata_key: {key: ns, path: [{key: k}]}}}]`
	)
	asks := []ask{{}, {path: "/a?b=c", header: []string{parent + "01", "x-tag: v"}}, {method: "POST", body: "content", header: []string{"x-tag: v, w"}}, {path: "/status/404", http2: true},
		{header: []string{"x-tag: \"quoted\" \\ \t tab"}}, {header: []string{"authorization: Bearer " + jwt, "cookie: session=" + jwt, "x-tag: " + jwt}, path: "/?access_token=" + jwt}}
	tracing := `generate_request_id: true, tracing: {provider: {name: envoy.tracers.opentelemetry, typed_config: {
		"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, service_name: s, grpc_service: {envoy_grpc: {cluster_name: up2}}}}}`
	last := len(asks) - 1 // has secrets, so that its record differs
	for name, tt := range map[string]struct {
		config, manager string
		prefix          string // of counters
		http            bool
	}{
		"grpc":     {config: rpc + body + `resource_attributes: {values: [{key: region, value: {string_value: north}}, {key: log_name, value: {string_value: mine}}]}`},
		"http":     {config: over + body + `log_name: name, disable_builtin_labels: true`, http: true},
		"common":   {config: `common_config: {log_name: old, transport_api_version: V3, buffer_flush_interval: 0.1s, ` + strings.TrimSuffix(rpc, ", ") + `}, ` + body},
		"nothing":  {config: rpc},
		"traced":   {config: rpc + body + `attributes: {values: [{key: s, value: {string_value: "%SPAN_ID%"}}]}`, manager: tracing},
		"untraced": {config: rpc + body, manager: strings.Replace(tracing, "tracing: {", "tracing: {random_sampling: {value: 0}, ", 1)},
		"tags":     {config: rpc + tags + `, log_name: name, stat_prefix: p`, prefix: "p."},
		"structure": {config: rpc + `body: {kvlist_value: {values: [{key: a, value: {string_value: "%PROTOCOL%"}}, {key: l, value: {array_value: {values: [{string_value: "%RESPONSE_CODE%"}, {array_value: {}}, {kvlist_value: {values: [{key: k, value: {string_value: plain}}]}}]}}}]}},
			attributes: {values: [{key: a, value: {string_value: "%REQ(X-TAG)%"}}, {key: p, value: {string_value: "%REQ(:PATH)%"}}, {key: s, value: {string_value: "%REQ(AUTHORIZATION)%%REQ(COOKIE)%"}}, {key: a, value: {string_value: ""}}]}`},
		"state": {config: rpc + `filter_state_objects_to_log: [tenant, none, other]`, manager: `http_filters: [{name: state, typed_config: {
			"@type": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config, on_request_headers: [
			{object_key: tenant, factory_key: envoy.string, format_string: {text_format_source: {inline_string: "t <%REQ(:PATH)%>"}}},
			{object_key: other, factory_key: envoy.string, format_string: {text_format_source: {inline_string: "\"x\""}}}]}}]`},
		"array": {config: rpc + `body: {array_value: {values: [{string_value: "%REQ(X-TAG)% %START_TIME(x)%"}]}}, buffer_size_bytes: 0`},
	} {
		t.Run(name, func(t *testing.T) {
			var records, others [2][]string
			for i, program := range beside.Programs(t) {
				c := new(collector)
				ports := harness.FreePorts(t, 2)
				var to int
				if tt.http {
					to = beside.Serve(t, c, false)
				} else {
					to = beside.ServeGRPC(t, func(s *grpc.Server) { collectorv1.RegisterLogsServiceServer(s, c) })
				}
				w := &world{name: "w", manager: tt.manager, filter: "{not_health_check_filter: {}}"}
				l := w.listener(t, ports[0], t.TempDir())
				log := object{"@type": beside.Types + "access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"}
				if name != "common" { // which has its own
					log["buffer_flush_interval"] = "0.05s"
				}
				beside.Read(t, "{"+tt.config+"}", &log)
				hcm := l["filter_chains"].(list)[0].(object)["filters"].(list)[0].(object)["typed_config"].(object)
				hcm["access_log"].(list)[0].(object)["typed_config"] = log
				up := beside.Cluster("up", beside.Serve(t, http.HandlerFunc(upstream), false), false)
				metadata := object{}
				beside.Read(t, "{filter_metadata: {ns: {k: v}}}", &metadata)
				up["metadata"] = metadata
				stop := beside.Start(t, ports, beside.Bootstrap(ports[1], list{l}, list{up, beside.Cluster("up2", 1, true), beside.Cluster("collector", to, !tt.http)}), program)
				for k := range asks {
					asks[k].send(ports[0])
					if k+1 >= last { // the last one's record comes last, others in any order
						harness.Eventually(t, 30*time.Second, "records", func() (bool, any) { return c.count() == k+1, c.count() })
					}
				}
				harness.Eventually(t, 30*time.Second, "counters", func() (bool, any) {
					_, page := beside.Page(t, ports[1], "/stats?filter=logs_")
					written, dropped := "access_logs.open_telemetry_access_log."+tt.prefix+"logs_written: 6\n", "access_logs.open_telemetry_access_log."+tt.prefix+"logs_dropped: 0\n"
					return strings.Contains(page, written) && strings.Contains(page, dropped), page
				})
				stop()
				slices.Sort(c.records[:last])
				records[i], others[i] = c.records[:last], slices.Compact(c.others)
				if !program.Envoy && bytes.Contains(c.bodies.Bytes(), []byte("c2lnbmF0dXJl")) {
					t.Error("the collector is told a token")
				}
			}
			for k, e := range records[0] {
				if u := records[1][k]; e != u {
					t.Errorf("Envoy: %s\nusher: %s", e, u)
				}
			}
			if !slices.Equal(others[0], others[1]) {
				t.Errorf("resources:\nEnvoy: %s\nusher: %s", others[0], others[1])
			}
		})
	}
}
