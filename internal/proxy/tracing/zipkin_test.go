package tracing

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/usher-mesh/usher/internal/proxy/otlp"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TestZipkinReports: what a collector is told, and what is counted of what it answers.
func TestZipkinReports(t *testing.T) {
	var got string
	answers := []int{202, 200, 500}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	up, err := upstream.Compile(proxytest.Decode(t, `{name: c, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [
		{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: `+port+`}}}}]}]}}`, &clusterv3.Cluster{}), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	cluster := up
	n := new(zipkinCounts)
	z := &zipkinReporter{post: &otlp.Post{Cluster: "c", Host: "c", Path: "/", Timeout: 10 * time.Second}, clusters: func(string) *upstream.Cluster { return cluster }, service: "s", shared: true, counts: n}
	text := func(key, v string) *commonv1.KeyValue {
		return &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: v}}}
	}
	batch := []*tracev1.Span{
		{TraceId: make([]byte, 8), SpanId: []byte("abcdefgh"), Kind: tracev1.Span_SPAN_KIND_SERVER, Name: "a\"<", StartTimeUnixNano: 5_000_000, EndTimeUnixNano: 7_500_999, Attributes: []*commonv1.KeyValue{text("k", "v"), text("zone", "")}},
		{TraceId: make([]byte, 16), SpanId: make([]byte, 8), ParentSpanId: make([]byte, 8), Kind: tracev1.Span_SPAN_KIND_CLIENT, StartTimeUnixNano: 9_000, EndTimeUnixNano: 8_000},
	}
	for i, ok := range []bool{true, false, false, false} {
		if i == 3 {
			cluster = nil
		}
		if err := z.export(context.Background(), batch); (err == nil) != ok {
			t.Errorf("%d: %v", i, err)
		}
	}
	const want = `[{"traceId":"0000000000000000","id":"6162636465666768","kind":"SERVER","name":"a\"<","timestamp":5000,"duration":2500,"shared":true,"localEndpoint":{"serviceName":"s"},"annotations":[{"timestamp":7500,"value":"ss"}],"tags":{"k":"v"}},` +
		`{"traceId":"00000000000000000000000000000000","parentId":"0000000000000000","id":"0000000000000000","kind":"CLIENT","name":"","timestamp":9,"duration":1,"localEndpoint":{"serviceName":"s"},"annotations":[{"timestamp":8,"value":"cr"}],"tags":{}}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c := fmt.Sprint(n.Sent.Load(), n.Taken.Load(), n.Refused.Load(), n.None.Load(), n.Failed.Load()); c != "8 1 2 1 0" {
		t.Error(c)
	}
}
