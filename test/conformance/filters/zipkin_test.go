package filters

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// zipkin takes spans of Zipkin.
type zipkin struct {
	mu    sync.Mutex
	asked string   // how the first were sent
	spans []string // as text, less what is different each time
}

// zipkinSpan is Zipkin's, as its API v2 has it.
type zipkinSpan struct {
	TraceID, ParentID, ID, Kind, Name string
	Timestamp, Duration               json.Number
	Shared                            *bool
	LocalEndpoint                     map[string]any
	Tags                              map[string]string
	Annotations                       []map[string]any
}

// known names ids that requests bring; others are as many digits.
func known(id string) string {
	switch id {
	case "", b3Trace, b3High + b3Trace, b3Span, b3Parent, "0000000000000000":
		return id
	}
	if len(id) < 15 || !regexp.MustCompile("^[0-9a-f]+$").MatchString(id) {
		return id
	}
	return fmt.Sprintf("<%d>", len(id))
}

const (
	b3High   = "463ac35c9f6413ad"
	b3Trace  = "48485a3953bb6124"
	b3Span   = "a2fb4a1d1a96d312"
	b3Parent = "0020000000000001"
)

func (z *zipkin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	var all []zipkinSpan
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		panic(fmt.Sprint(err, " in ", string(b)))
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.asked == "" {
		z.asked = fmt.Sprint(r.Method, " ", r.Host, " ", r.RequestURI, " ", r.Header["Content-Type"], r.Header["X-Mine"])
	}
	for _, s := range all {
		var lines []string
		for k, v := range s.Tags {
			switch k {
			case "peer.address", "upstream_address":
				v = strings.Split(v, ":")[0]
			case "guid:x-request-id":
				v = fmt.Sprintf("reason %c", v[14])
			}
			lines = append(lines, k+"="+v)
		}
		slices.Sort(lines)
		shared := "absent"
		if s.Shared != nil {
			shared = fmt.Sprint(*s.Shared)
		}
		delete(s.LocalEndpoint, "ipv4") // an address of the machine's that Envoy picks
		delete(s.LocalEndpoint, "port")
		for _, a := range s.Annotations {
			delete(a, "timestamp")
		}
		z.spans = append(z.spans, fmt.Sprintf("%s %s trace=%s parent=%s id=%s same=%v shared=%s time=%v %v endpoint=%v annotations=%v\n  %s", s.Name, s.Kind, known(s.TraceID), known(s.ParentID), known(s.ID),
			strings.HasSuffix(s.TraceID, s.ID), shared, len(s.Timestamp), s.Duration != "", s.LocalEndpoint, s.Annotations, strings.Join(lines, "\n  ")))
	}
	w.WriteHeader(202)
}

// b3 is what the upstream is told of a trace.
func b3(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	var lines []string
	for name, v := range r.Header {
		if l := strings.ToLower(name); strings.HasPrefix(l, "x-b3-") || l == "b3" || l == "traceparent" || l == "tracestate" {
			var all []string
			for _, one := range v {
				var parts []string
				for _, p := range strings.Split(one, "-") {
					parts = append(parts, known(p))
				}
				all = append(all, strings.Join(parts, "-"))
			}
			lines = append(lines, fmt.Sprintf("%s=%q", l, all))
		}
	}
	slices.Sort(lines)
	id := r.Header.Get("X-Request-Id")
	if len(id) == 36 {
		id = string(id[14])
	}
	same := r.Header.Get("X-B3-Traceid") == r.Header.Get("X-B3-Spanid")
	if strings.HasSuffix(r.URL.Path, "/fail") && r.Header.Get("X-Envoy-Attempt-Count") == "1" {
		w.WriteHeader(503)
	}
	if strings.HasSuffix(r.URL.Path, "/cut") {
		panic(http.ErrAbortHandler)
	}
	if strings.HasSuffix(r.URL.Path, "/named") {
		w.Header().Set("X-Envoy-Decorator-Operation", "theirs")
	}
	fmt.Fprintf(w, "%s id=%s same=%v decorator=%q\n%s", r.URL.Path, id, same, r.Header.Get("X-Envoy-Decorator-Operation"), strings.Join(lines, "\n"))
}

// TestZipkin holds that spans for Zipkin, and what an upstream is told of a trace by B3, are
// Envoy's apart from ids and times.
func TestZipkin(t *testing.T) {
	b3Of := func(trace, span, parent, sampled string) ask {
		a := ask{}
		for _, f := range [][2]string{{"x-b3-traceid", trace}, {"x-b3-spanid", span}, {"x-b3-parentspanid", parent}, {"x-b3-sampled", sampled}} {
			if f[1] != "" {
				a.header = append(a.header, f[0]+": "+f[1])
			}
		}
		return a
	}
	with := func(header ...string) ask { return ask{header: header} }
	asks := []ask{
		{}, {path: "/a?b=c"},
		b3Of(b3Trace, b3Span, "", ""), b3Of(b3Trace, b3Span, "", "1"), b3Of(b3Trace, b3Span, "", "0"), b3Of(b3Trace, b3Span, b3Parent, "1"), b3Of(b3High+b3Trace, b3Span, b3Parent, "1"),
		b3Of(b3High+b3Trace, b3Span, "", "true"), b3Of(b3Trace, b3Span, "", "false"), b3Of(b3Trace, b3Span, "", "d"), b3Of(b3Trace, b3Span, "", "nonsense"), b3Of("", "", "", "0"), b3Of("", "", "", "1"),
		b3Of(b3Trace, "", "", "1"), b3Of("", b3Span, "", "1"), b3Of("", "", b3Parent, ""), b3Of("nonsense", b3Span, "", "1"), b3Of(b3Trace, "nonsense", "", "1"), b3Of(b3Trace, b3Span, "nonsense", "1"),
		b3Of("1", "2", "3", "1"), b3Of("1"+b3High+b3Trace, b3Span, "", "1"), b3Of("1"+b3Trace, b3Span, "", "1"), b3Of(b3Trace, "1"+b3Span, "", "1"), b3Of(strings.ToUpper(b3Trace), strings.ToUpper(b3Span), "", "1"),
		b3Of(strings.Repeat("0", 16), b3Span, "", "1"), b3Of(b3Trace, strings.Repeat("0", 16), "", "1"), b3Of("-"+b3Trace[1:], b3Span, "", "1"), b3Of("+"+b3Trace[1:], b3Span, "", "1"),
		b3Of(b3High[:15]+"z"+b3Trace, b3Span, "", "1"), b3Of(strings.Repeat("0", 16)+b3Trace, b3Span, "", "1"), b3Of(strings.Repeat("a", 5000), b3Span, "", "1"),
		with("x-b3-flags: 1"), with("x-b3-flags: 0"), with("x-b3-flags: 1", "x-b3-sampled: 0"), with("x-b3-traceid: "+b3Trace, "x-b3-spanid: "+b3Span, "x-b3-flags: 1"),
		with("x-b3-traceid: "+b3Trace, "x-b3-traceid: "+b3High, "x-b3-spanid: "+b3Span),
		with("traceparent: 00-"+b3High+b3Trace+"-"+b3Span+"-01", "tracestate: a=1"), with("traceparent: nonsense"), with("x-request-id: short"), with("x-client-trace-id: me"),
		{path: "/decorated"}, {path: "/decorated/named"}, {path: "/quiet"}, {path: "/fail"}, {path: "/direct"}, {path: "/dead"}, {path: "/cut"}, {path: "/nowhere"}, {path: "/rewritten/x"},
		{method: "POST", path: "/a.S/M", header: []string{"content-type: application/grpc", "te: trailers"}},
	}
	for _, one := range []string{"0", "1", "d", "x", "", "00", b3Trace + "-" + b3Span, b3Trace + "-" + b3Span + "-1", b3Trace + "-" + b3Span + "-0", b3Trace + "-" + b3Span + "-d", b3Trace + "-" + b3Span + "-x", b3Trace + "-" + b3Span + "-1-" + b3Parent,
		b3High + b3Trace + "-" + b3Span + "-1-" + b3Parent, b3High + b3Trace + "-" + b3Span, b3Trace + "-" + b3Span + "-", b3Trace + "-" + b3Span + "-1-", b3Trace + "-" + b3Span + "-" + b3Parent, b3Trace + "-" + b3Span + "-1-" + b3Parent + "0",
		b3Trace + "-" + b3Span[1:], "zz" + b3Trace[2:] + "-" + b3Span, strings.Repeat("-", 40), strings.Repeat("a", 5000), "1-2-1", strings.Repeat("0", 16) + "-" + b3Span + "-1"} {
		asks = append(asks, with("b3: "+one))
	}
	asks = append(asks, with("b3: 0", "x-b3-traceid: "+b3Trace, "x-b3-spanid: "+b3Span, "x-b3-sampled: 1"), with("b3: "+b3Trace+"-"+b3Span+"-1", "x-b3-sampled: 0"))
	for name, tt := range map[string]struct{ tracing, direction, fields string }{
		"inbound":  {"", "INBOUND", ""},
		"outbound": {"", "OUTBOUND", "trace_id_128bit: true, collector_hostname: zipkin.test"},
		"spawned":  {"spawn_upstream_span: true", "UNSPECIFIED", ""},
		"egress":   {"spawn_upstream_span: true", "OUTBOUND", "shared_span_context: false"},
		"split":    {"", "INBOUND", "split_spans_for_request: true"},
		"own":      {"", "INBOUND", "shared_span_context: false, trace_id_128bit: true"},
		"w3c":      {"", "INBOUND", "trace_context_option: USE_B3_WITH_W3C_PROPAGATION"},
		"none":     {"random_sampling: {value: 0}", "INBOUND", ""},
		"silent":   {"no_context_propagation: true", "INBOUND", ""},
		"service":  {"", "INBOUND", "collector_service: {http_uri: {uri: 'http://zipkin.test/path?x=y', cluster: collector, timeout: 3s}, request_headers_to_add: [{header: {key: x-mine, value: v}}]}"},
	} {
		t.Run(name, func(t *testing.T) {
			var told, spans [2][]string
			var asked [2]string
			var stats [2][]string
			for i, program := range beside.Programs(t) {
				dir := t.TempDir()
				ports := harness.FreePorts(t, 2)
				z := &zipkin{}
				w := &world{name: "w", host: "include_request_attempt_count: true", routes: `[
					{match: {path: /decorated}, decorator: {operation: ours}, route: {cluster: up}},
					{match: {path: /decorated/named}, decorator: {operation: ours}, route: {cluster: up}},
					{match: {path: /quiet}, decorator: {operation: ours, propagate: false}, route: {cluster: up}},
					{match: {path: /direct}, direct_response: {status: 204}},
					{match: {path: /fail}, route: {cluster: up, retry_policy: {retry_on: 5xx, num_retries: 1}}},
					{match: {path: /mark}, route: {cluster: mark}},
					{match: {path: /dead}, route: {cluster: dead}},
					{match: {path: /nowhere}, route: {cluster: none}},
					{match: {prefix: /rewritten/}, route: {cluster: up, prefix_rewrite: /, host_rewrite_literal: other}},
					{match: {prefix: /}, route: {cluster: up}}]`}
				l, hcm := w.traced(t, ports[0], filepath.Join(dir, "log"), tt.direction)
				tracing, provider := object{}, object{"@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig", "collector_endpoint_version": "HTTP_JSON"}
				beside.Read(t, "{"+tt.tracing+"}", &tracing)
				beside.Read(t, "{"+tt.fields+"}", &provider)
				if provider["collector_service"] == nil {
					provider["collector_cluster"], provider["collector_endpoint"] = "collector", "/api/v2/spans"
				}
				tracing["provider"] = object{"name": "envoy.tracers.zipkin", "typed_config": provider}
				hcm["tracing"] = tracing
				stop := beside.Start(t, ports, beside.Bootstrap(ports[1], list{l}, list{beside.Cluster("up", beside.Serve(t, http.HandlerFunc(b3), false), false), beside.Cluster("mark", beside.Serve(t, http.HandlerFunc(b3), false), false),
					beside.Cluster("collector", beside.Serve(t, z, false), false), beside.Cluster("dead", 1, false)}), program)
				for k := range asks {
					told[i] = append(told[i], asks[k].send(ports[0]))
				}
				// The last ones have ended when what is asked after them has been told.
				mark := 0
				harness.Eventually(t, 30*time.Second, "spans", func() (bool, any) {
					z.mu.Lock()
					done := slices.ContainsFunc(z.spans, func(s string) bool { return strings.Contains(s, "mark") })
					z.mu.Unlock()
					if !done && mark < 20 {
						mark++
						(&ask{path: "/mark", header: []string{"x-request-id: 00000000-0000-9000-8000-000000000000"}}).send(ports[0])
					}
					return done, mark
				})
				for l := range strings.Lines(get(t, ports[1], "/stats?filter=tracing.zipkin")) {
					stats[i] = append(stats[i], strings.Split(l, ":")[0])
				}
				stop()
				z.mu.Lock()
				for _, s := range z.spans {
					if !strings.Contains(s, "mark") {
						spans[i] = append(spans[i], s)
					}
				}
				asked[i] = z.asked
				z.mu.Unlock()
			}
			stats[1] = slices.DeleteFunc(stats[1], func(s string) bool { return s == "tracing.zipkin.spans_dropped" }) // ours
			if !slices.Equal(stats[0], stats[1]) {
				t.Errorf("statistics:\nEnvoy: %q\nusher: %q", stats[0], stats[1])
			}
			if asked[0] != asked[1] {
				t.Errorf("how spans are sent:\nEnvoy: %s\nusher: %s", asked[0], asked[1])
			}
			for k := range asks {
				if name == "none" { // Envoy takes the request's word alone
					for i := range told {
						told[i][k] = strings.ReplaceAll(told[i][k], `sampled=["1"]`, `sampled=["0"]`)
						told[i][k] = regexp.MustCompile(`(b3=\["[0-9a-f<>]+-[0-9a-f<>]+)-1`).ReplaceAllString(told[i][k], "$1-0")
					}
				}
				if told[0][k] != told[1][k] {
					t.Errorf("request %d %q %v:\nEnvoy: %s\nusher: %s", k, asks[k].path, asks[k].header, told[0][k], told[1][k])
				}
			}
			if name == "none" { // here nobody makes spans by a word, but for x-client-trace-id, which is allowed to
				spans[0] = slices.DeleteFunc(spans[0], func(s string) bool { return !strings.Contains(s, "reason b") })
			}
			beside.SameList(t, "span", spans[0], spans[1])
			t.Logf("%d answers and %d spans are compared", len(asks), len(spans[0]))
		})
	}
}
