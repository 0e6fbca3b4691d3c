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
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

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
		c.inject(&out)
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
		send: func(_ context.Context, rq proto.Message) error {
			begun <- struct{}{}
			got <- len(rq.(*collectorv1.ExportTraceServiceRequest).ResourceSpans[0].ScopeSpans[0].Spans)
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

const otel = `"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig`

// TestRefused names what is not taken, with its place.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{verbose: true}`:                                            "verbose: not supported",
		`{operation: "%METHOD%"}`:                                    "operation: not supported",
		`{random_sampling: {value: 101}}`:                            "random_sampling: not from 0 to 100",
		`{custom_tags: [{tag: a, metadata: {kind: {request: {}}}}]}`: "custom_tags[0].metadata.metadata_key: no key, or no path",
		`{custom_tags: [{tag: a, literal: {value: b}}, {tag: a, literal: {value: c}}]}`:                                     `custom_tags[1].tag: "a" is there already`,
		`{custom_tags: [{tag: a, value: "%NONE%"}]}`:                                                                        "custom_tags[0].value: %NONE%: unknown command",
		`{custom_tags: [{tag: a, literal: {value: "1"}, value_type: INT}]}`:                                                 "custom_tags[0].value_type: not supported",
		`{provider: {name: x, typed_config: {` + otel + `, max_cache_size: 0}}}`:                                            "provider.typed_config.max_cache_size: not from 1 to 65536",
		`{provider: {name: x, typed_config: {` + otel + `, grpc_service: {google_grpc: {target_uri: x, stat_prefix: z}}}}}`: "provider.typed_config.grpc_service.google_grpc: not supported",
		`{provider: {name: x, typed_config: {` + otel + `, http_service: {http_uri: {uri: /x, cluster: c, timeout: 1s}}}}}`: "provider.typed_config.http_service.http_uri: uri must be a URL; cluster and timeout must be there",
		`{provider: {name: x, typed_config: {` + otel + `, resource_detectors: [{name: x}]}}}`:                              "provider.typed_config.resource_detectors: not supported",
	} {
		m := new(hcmv3.HttpConnectionManager_Tracing)
		proxytest.Decode(t, text, m)
		if _, err := Compile(m, Options{Log: slog.New(slog.DiscardHandler)}); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestEnds holds that a tracer without a collector is taken, and leaves nothing running.
func TestEnds(t *testing.T) {
	m := new(hcmv3.HttpConnectionManager_Tracing)
	proxytest.Decode(t, `{provider: {name: x, typed_config: {`+otel+`}}}`, m)
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
