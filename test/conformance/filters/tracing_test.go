package filters

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// collector takes spans over HTTP and over gRPC.
type collector struct {
	mu       sync.Mutex
	spans    []string // as text, less what is different each time
	resource string
	bodies   bytes.Buffer
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	grpc := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	if grpc && len(b) >= 5 && int(binary.BigEndian.Uint32(b[1:])) == len(b)-5 {
		b = b[5:]
	}
	var rq collectorv1.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &rq); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies.Write(b)
	for _, rs := range rq.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				c.resource = a.Value.GetStringValue()
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				lines := []string{}
				for _, a := range s.Attributes {
					v := a.Value.GetStringValue()
					switch a.Key {
					case "peer.address", "upstream_address":
						v = strings.Split(v, ":")[0]
					case "guid:x-request-id":
						v = fmt.Sprintf("reason %c", v[14])
					}
					lines = append(lines, a.Key+"="+v)
				}
				slices.Sort(lines)
				c.spans = append(c.spans, fmt.Sprintf("%s %s parent=%v state=%q status=%s events=%d order=%v\n  %s", s.Name, s.Kind, len(s.ParentSpanId) > 0, s.TraceState,
					s.Status.GetCode(), len(s.Events), s.EndTimeUnixNano >= s.StartTimeUnixNano && s.StartTimeUnixNano > 0, strings.Join(lines, "\n  ")))
			}
		}
	}
	if !grpc {
		w.Header().Set("Content-Type", "application/x-protobuf")
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.Write([]byte{0, 0, 0, 0, 0})
	w.Header().Set("Grpc-Status", "0")
}

// traced is what the upstream is told of a trace, with the ids by their kind.
func traced(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	p := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(p) == 4 {
		if _, err := hex.DecodeString(p[1] + p[2]); err == nil && len(p[1]) == 32 && len(p[2]) == 16 {
			if p[1] != parentTrace {
				p[1] = "new"
			}
			if p[2] != parentSpan {
				p[2] = "new"
			}
		}
	}
	id := r.Header.Get("X-Request-Id")
	if len(id) == 36 {
		id = string(id[14])
	}
	if strings.HasSuffix(r.URL.Path, "/fail") && r.Header.Get("X-Envoy-Attempt-Count") == "1" {
		w.WriteHeader(503)
	}
	if strings.HasSuffix(r.URL.Path, "/cut") {
		panic(http.ErrAbortHandler)
	}
	if strings.HasSuffix(r.URL.Path, "/named") {
		w.Header().Set("X-Envoy-Decorator-Operation", "theirs")
	}
	fmt.Fprintf(w, "%s traceparent=%s tracestate=%q id=%s decorator=%q", r.URL.Path, strings.Join(p, "-"), r.Header["Tracestate"], id, r.Header.Get("X-Envoy-Decorator-Operation"))
}

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	parentSpan  = "b7ad6b7169203331"
)

// traced is the world's listener with a direction, and its manager, which makes ids of requests.
func (w *world) traced(t *testing.T, port int, log, direction string) (l, manager object) {
	l = w.listener(t, port, log)
	l["traffic_direction"] = direction
	if direction == "UNSPECIFIED" {
		delete(l, "traffic_direction")
	}
	manager = l["filter_chains"].(list)[0].(object)["filters"].(list)[0].(object)["typed_config"].(object)
	delete(manager, "generate_request_id")
	return l, manager
}

// TestTracing holds that spans, and what an upstream is told of a trace, are Envoy's apart
// from ids and times.
func TestTracing(t *testing.T) {
	parent := func(flags string) string { return "traceparent: 00-" + parentTrace + "-" + parentSpan + "-" + flags }
	asks := []ask{
		{},
		{path: "/a?b=c", header: []string{parent("01"), "tracestate: a=1,b=2"}},
		{header: []string{parent("01"), "tracestate: a=1", "tracestate: b=2"}},
		{header: []string{parent("00")}},
		{header: []string{"tracestate: a=1"}},
		{header: []string{"traceparent: nonsense"}},
		{header: []string{"traceparent: 00-" + strings.Repeat("0", 32) + "-" + parentSpan + "-01"}},
		{header: []string{"traceparent: 00-" + parentTrace + "-" + strings.Repeat("0", 16) + "-01"}},
		{header: []string{"traceparent: 00-" + strings.ToUpper(parentTrace) + "-" + parentSpan + "-01"}},
		{header: []string{"x-client-trace-id: me", "user-agent: curl"}},
		{header: []string{"x-request-id: short"}},
		{header: []string{"x-request-id: 00000000-0000-4000-8000-000000000000"}},
		{header: []string{"x-request-id: 00000000-0000-9000-8000-000000000000"}},
		{header: []string{"x-request-id: 0000ffff-0000-a000-8000-000000000000"}},
		{header: []string{"x-request-id: 0000ffff-0000-b000-8000-000000000000"}},
		{header: []string{"x-request-id: zzzzffff-0000-4000-8000-000000000000"}},
		{path: "/long/" + strings.Repeat("x", 400)},
		{method: "POST", path: "/decorated", body: "content"},
		{path: "/decorated/named"},
		{path: "/quiet"},
		{path: "/fail"},
		{path: "/direct"},
		{path: "/own"}, {path: "/own", header: []string{"x-client-trace-id: me"}}, {path: "/own", header: []string{"x-request-id: 00000000-0000-9000-8000-000000000000"}},
		{path: "/own/all", header: []string{"x-tag: value"}}, {path: "/own/none"}, {path: "/own/none", header: []string{"x-client-trace-id: me"}}, {path: "/own/empty"}, {path: "/own/empty", header: []string{"x-client-trace-id: me"}},
		{path: "/own/half", header: []string{"x-request-id: 00000031-0000-4000-8000-000000000000"}}, {path: "/own/half", header: []string{"x-request-id: 00000032-0000-4000-8000-000000000000"}}, {path: "/own/half", header: []string{"x-request-id: 00000063-0000-4000-8000-000000000000"}},
		{path: "/own/few", header: []string{"x-request-id: 00000008-0000-4000-8000-000000000000"}}, {path: "/own/few", header: []string{"x-request-id: 00000009-0000-4000-8000-000000000000"}},
		{path: "/dead"},
		{path: "/cut"},
		{path: "/nowhere"},
		{path: "/rewritten/x"},
		{header: []string{"x-tag: value"}},
		{method: "POST", path: "/a.S/M", header: []string{"content-type: application/grpc", "te: trailers"}},
	}
	tags := `custom_tags: [{tag: l, literal: {value: literal}}, {tag: e, environment: {name: NOT_THERE, default_value: none}}, {tag: h, request_header: {name: x-tag}},
		{tag: d, request_header: {name: x-no-tag, default_value: default}}, {tag: component, literal: {value: mine}},
		{tag: v, value: "%REQ(X-TAG)% %PROTOCOL%"}, {tag: v2, value: "%REQ(X-TAG)%"}, {tag: k, metadata: {kind: {cluster: {}}, metadata_key: {key: ns, path: [{key: k}]}}},
		{tag: deep, metadata: {kind: {cluster: {}}, metadata_key: {key: ns, path: [{key: deep}, {key: list}]}}},
		{tag: d2, metadata: {kind: {cluster: {}}, metadata_key: {key: ns, path: [{key: k}, {key: none}]}, default_value: none}},
		{tag: r, metadata: {kind: {request: {}}, metadata_key: {key: ns, path: [{key: k}]}, default_value: none}},
		{tag: x, metadata: {kind: {request: {}}, metadata_key: {key: ns, path: [{key: k}]}}}]`
	for name, tt := range map[string]struct {
		tracing, direction string
		grpc               bool
	}{
		"inbound":  {tags, "INBOUND", false},
		"outbound": {"", "OUTBOUND", true},
		"spawned":  {"spawn_upstream_span: true, " + tags, "UNSPECIFIED", true},
		"egress":   {"spawn_upstream_span: true", "OUTBOUND", false},
		"none":     {"random_sampling: {value: 0}", "INBOUND", false},
		"overall":  {"overall_sampling: {value: 0}", "INBOUND", false},
		"client":   {"client_sampling: {value: 0}, random_sampling: {value: 0}", "INBOUND", false},
		"some":     {"random_sampling: {value: 0.01}, max_path_tag_length: 10", "INBOUND", false},
		"silent":   {"no_context_propagation: true", "INBOUND", false},
	} {
		t.Run(name, func(t *testing.T) {
			var told, spans [2][]string
			for i, program := range beside.Programs(t) {
				dir := t.TempDir()
				ports := harness.FreePorts(t, 2)
				c := &collector{}
				to := beside.Serve(t, c, tt.grpc)
				w := &world{name: "w", host: "include_request_attempt_count: true", routes: `[
					{match: {path: /decorated}, decorator: {operation: ours}, route: {cluster: up}},
					{match: {path: /decorated/named}, decorator: {operation: ours}, route: {cluster: up}},
					{match: {path: /quiet}, decorator: {operation: ours, propagate: false}, route: {cluster: up}},
					{match: {path: /direct}, direct_response: {status: 204}},
					{match: {path: /own}, tracing: {random_sampling: {numerator: 0}, client_sampling: {numerator: 0}, custom_tags: [{tag: own, literal: {value: route}}]}, route: {cluster: up}},
					{match: {path: /own/all}, tracing: {custom_tags: [{tag: h, literal: {value: route}}, {tag: e, request_header: {name: x-none}}, {tag: own, request_header: {name: x-tag}}]}, route: {cluster: up}},
					{match: {path: /own/half}, tracing: {random_sampling: {numerator: 500000, denominator: MILLION}, overall_sampling: {numerator: 50}}, route: {cluster: up}},
					{match: {path: /own/few}, tracing: {random_sampling: {numerator: 9, denominator: TEN_THOUSAND}}, route: {cluster: up}},
					{match: {path: /own/none}, tracing: {overall_sampling: {numerator: 0}}, route: {cluster: up}},
					{match: {path: /own/empty}, tracing: {}, route: {cluster: up}},
					{match: {path: /fail}, route: {cluster: up, retry_policy: {retry_on: 5xx, num_retries: 1}}},
					{match: {path: /mark}, tracing: {}, route: {cluster: mark}},
					{match: {path: /dead}, route: {cluster: dead}},
					{match: {path: /nowhere}, route: {cluster: none}},
					{match: {prefix: /rewritten/}, route: {cluster: up, prefix_rewrite: /, host_rewrite_literal: other}},
					{match: {prefix: /}, route: {cluster: up}}]`}
				l, hcm := w.traced(t, ports[0], filepath.Join(dir, "log"), tt.direction)
				tracing, metadata := object{}, object{}
				beside.Read(t, "{"+tt.tracing+"}", &tracing)
				beside.Read(t, "{filter_metadata: {ns: {k: v, deep: {list: [1, true, x]}}}}", &metadata)
				service := object{"@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig", "service_name": "s"}
				if tt.grpc {
					service["grpc_service"] = object{"envoy_grpc": object{"cluster_name": "collector"}, "timeout": "5s"}
				} else {
					service["http_service"] = object{"http_uri": object{"uri": "http://collector/v1/traces", "cluster": "collector", "timeout": "5s"}}
				}
				tracing["provider"] = object{"name": "envoy.tracers.opentelemetry", "typed_config": service}
				hcm["tracing"] = tracing
				serve := func() int { return beside.Serve(t, http.HandlerFunc(traced), false) }
				up := beside.Cluster("up", serve(), false)
				up["metadata"] = metadata
				stop := beside.Start(t, ports, beside.Bootstrap(ports[1], list{l}, list{up, beside.Cluster("mark", serve(), false),
					beside.Cluster("collector", to, tt.grpc), beside.Cluster("dead", 1, false)}), program)
				for k := range asks {
					told[i] = append(told[i], asks[k].send(ports[0]))
				}
				// The last ones have ended when what is asked after them has been told.
				mark := 0
				harness.Eventually(t, 30*time.Second, "spans", func() (bool, any) {
					c.mu.Lock()
					seen := len(c.spans)
					done := slices.ContainsFunc(c.spans, func(s string) bool { return strings.Contains(s, "mark") })
					c.mu.Unlock()
					if !done && mark < 20 {
						mark++
						(&ask{path: "/mark", header: []string{"x-request-id: 00000000-0000-9000-8000-000000000000", "x-client-trace-id: mark"}}).send(ports[0])
					}
					return done, seen
				})
				stop()
				c.mu.Lock()
				for _, s := range c.spans {
					if !strings.Contains(s, "mark") {
						spans[i] = append(spans[i], s)
					}
				}
				if c.resource != "s" {
					t.Errorf("service %q", c.resource)
				}
				c.mu.Unlock()
			}
			for k := range asks {
				if told[0][k] != told[1][k] {
					t.Errorf("request %d %v:\nEnvoy: %s\nusher: %s", k, asks[k].header, told[0][k], told[1][k])
				}
			}
			beside.SameList(t, "span", spans[0], spans[1])
			t.Logf("%d answers and %d spans are compared", len(asks), len(spans[0]))
		})
	}
}
