package tracing

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// FuzzExtract holds that what is taken of a client goes on in the same form.
func FuzzExtract(f *testing.F) {
	good := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, s := range []string{good, strings.ToUpper(good), good[:54], good + "-x", strings.ReplaceAll(good, "-", "0"), strings.Repeat("0", 55)} {
		f.Add(s, "a=1")
	}
	f.Fuzz(func(t *testing.T, parent, state string) {
		var h exchange.Header
		h.Add(parentHeader, parent)
		h.Add(stateHeader, state)
		c, there, ok := extract(&h)
		if !there || !ok {
			return
		}
		var out exchange.Header
		w3c{}.inject(&c, &out)
		if got := out.Get(parentHeader); len(got) != parentLength || !strings.EqualFold(got[3:52], parent[3:52]) {
			t.Errorf("%q became %q", parent, got)
		}
		if len(out.Get(stateHeader)) > maxState {
			t.Error("a state without bound goes on")
		}
	})
}

// TestNeverWaits holds that a collector which does not answer costs spans, not time, and
// that they are bounded; and that what is left is sent at the end.
func TestNeverWaits(t *testing.T) {
	begun, release := make(chan struct{}, 100), make(chan error)
	got := make(chan int, 100)
	e := &exporter{spans: make(chan *tracev1.Span, 8), log: slog.New(slog.DiscardHandler),
		send: func(_ context.Context, batch []*tracev1.Span) error {
			begun <- struct{}{}
			got <- len(batch)
			return <-release
		}}
	for range 5 {
		e.add(&tracev1.Span{})
	}
	e.start()
	<-begun
	for range 1000 {
		e.add(&tracev1.Span{}) // would wait for ever
	}
	if n := e.dropped.Load(); n != 992 {
		t.Errorf("%d dropped", n)
	}
	e.end()
	release <- errors.New("no")
	close(release)
	if a, b := <-got, <-got; a != 5 || b != 8 || e.dropped.Load() != 997 {
		t.Errorf("batches of %d and %d, %d dropped", a, b, e.dropped.Load())
	}
}

// TestLargeSpans: what clients make spans of is bounded in bytes, too, until it is sent.
func TestLargeSpans(t *testing.T) {
	e := &exporter{spans: make(chan *tracev1.Span, 8), log: slog.New(slog.DiscardHandler), send: func(context.Context, []*tracev1.Span) error { return nil }}
	large := &tracev1.Span{Name: strings.Repeat("a", 3*spanRoom)}
	for range 8 {
		e.add(large)
	}
	e.add(&tracev1.Span{Name: "small"})
	if n := e.dropped.Load(); n != 6 || len(e.spans) != 3 {
		t.Errorf("%d dropped, %d wait", n, len(e.spans))
	}
	batch := e.drain(nil)
	if e.add(large); len(e.spans) != 0 {
		t.Error("what is being sent takes no room")
	}
	e.export(context.Background(), batch)
	if e.add(large); len(e.spans) != 1 {
		t.Error("what was sent takes room")
	}
}

const zipkin = `"@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig, collector_endpoint_version: HTTP_JSON`

const otel = `"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig`

// TestRefused names what is not taken, with its place.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{verbose: true}`:                                            "verbose: not supported",
		`{operation: "%METHOD%"}`:                                    "operation: not supported",
		`{random_sampling: {value: 101}}`:                            "random_sampling: not from 0 to 100",
		`{custom_tags: [{tag: a, metadata: {kind: {request: {}}}}]}`: "custom_tags[0].metadata.metadata_key: no key, or no path",
		`{custom_tags: [{tag: a, literal: {value: b}}, {tag: a, literal: {value: c}}]}`: `custom_tags[1].tag: "a" is there already`,
		`{custom_tags: [{tag: a, value: "%NONE%"}]}`:                                    "custom_tags[0].value: %NONE%: unknown command",
		`{custom_tags: [{tag: a, literal: {value: "1"}, value_type: INT}]}`:             "custom_tags[0].value_type: not supported",
		`{provider: {name: x}}`:                                                  "provider.typed_config: missing",
		`{provider: {name: x, typed_config: {` + otel + `}}}`:                    "provider.typed_config.grpc_service: missing, and http_service, too",
		`{provider: {name: x, typed_config: {` + otel + `, max_cache_size: 0}}}`: "provider.typed_config.max_cache_size: not from 1 to 65536",
		`{provider: {name: x, typed_config: {` + otel + `, grpc_service: {google_grpc: {target_uri: x, stat_prefix: z}}}}}`:              "provider.typed_config.grpc_service.google_grpc: not supported",
		`{provider: {name: x, typed_config: {` + otel + `, http_service: {http_uri: {uri: /x, cluster: c, timeout: 1s}}}}}`:              "provider.typed_config.http_service.http_uri: uri must be a URL; cluster and timeout must be there",
		`{provider: {name: x, typed_config: {` + strings.Replace(zipkin, "HTTP_JSON", "HTTP_PROTO", 1) + `}}}`:                           "provider.typed_config.collector_endpoint_version: HTTP_PROTO: not supported (want HTTP_JSON)",
		`{provider: {name: x, typed_config: {` + zipkin + `, timestamp_trace_ids: true}}}`:                                               "provider.typed_config.timestamp_trace_ids: not supported",
		`{provider: {name: x, typed_config: {` + zipkin + `, trace_context_option: 7}}}`:                                                 "provider.typed_config.trace_context_option: 7: not supported",
		`{provider: {name: x, typed_config: {` + zipkin + `}}}`:                                                                          "provider.typed_config.collector_cluster: empty",
		`{provider: {name: x, typed_config: {` + zipkin + `, collector_cluster: c}}}`:                                                    "provider.typed_config.collector_endpoint: no path, or collector_hostname is none",
		`{provider: {name: x, typed_config: {` + zipkin + `, collector_cluster: c, collector_endpoint: "/a b"}}}`:                        "provider.typed_config.collector_endpoint: no path, or collector_hostname is none",
		`{provider: {name: x, typed_config: {` + zipkin + `, collector_cluster: c, collector_endpoint: /, collector_hostname: "a\nb"}}}`: "provider.typed_config.collector_endpoint: no path, or collector_hostname is none",
		`{provider: {name: x, typed_config: {` + zipkin + `, collector_service: {http_uri: {cluster: c, uri: x, timeout: 1s}}}}}`:        "provider.typed_config.collector_service.http_uri.uri: neither a URL nor a path",
		`{provider: {name: x, typed_config: {` + zipkin + `, collector_service: {http_uri: {uri: /x, timeout: 1s}}}}}`:                   "provider.typed_config.collector_service.http_uri.cluster: empty",
		`{provider: {name: x, typed_config: {` + zipkin + `, collector_service: {http_uri: {uri: /x, cluster: c}}}}}`:                    "provider.typed_config.collector_service.http_uri.timeout: must be above 0",
		`{provider: {name: x, typed_config: {` + otel + `, resource_detectors: [{name: x}]}}}`:                                           "provider.typed_config.resource_detectors: not supported",
	} {
		m := new(hcmv3.HttpConnectionManager_Tracing)
		proxytest.Decode(t, text, m)
		if _, err := Compile(m, Options{Log: slog.New(slog.DiscardHandler)}); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestEnds holds that a tracer whose collector is not there leaves nothing running.
func TestEnds(t *testing.T) {
	m := new(hcmv3.HttpConnectionManager_Tracing)
	proxytest.Decode(t, `{provider: {name: x, typed_config: {`+otel+`, grpc_service: {envoy_grpc: {cluster_name: c}}}}}`, m)
	tr, err := Compile(m, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	tr.exporter.send = nil // nothing is there to be sent
	go func() { defer close(done); tr.Close() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits")
	}
}
