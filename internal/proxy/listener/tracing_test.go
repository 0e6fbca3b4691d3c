package listener_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
)

// TestSpansHoldNoToken holds that spans tell of a request without what a token is read
// from, wherever the client or the configuration has put one, whole or cut.
func TestSpansHoldNoToken(t *testing.T) {
	bodies := make(chan []byte, 100)
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, told), ""))
	p.cluster(staticCluster("collector", backend(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies <- b
	}), ""))
	p.start(plainListener(`tracing:
        max_path_tag_length: 100
        custom_tags: [{tag: a, request_header: {name: authorization}}, {tag: b, request_header: {name: x-any}}, {tag: c, request_header: {name: cookie}}]
        provider: {name: envoy.tracers.opentelemetry, typed_config: {"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig,
          http_service: {http_uri: {uri: "http://c/v1/traces", cluster: collector, timeout: 5s}}}}`))
	const signature = "Sflb1xwRJSMeKKF2QT4fwpMeJf36POk6yJVadQssw5c"
	token := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4ifQ." + signature
	for range 5 {
		rq, _ := http.NewRequest("GET", "http://"+p.addr+"/x?access_token="+token+"&q="+token, nil)
		rq.Header.Set("Authorization", "Bearer "+token)
		rq.Header.Set("Cookie", "t="+token)
		rq.Header.Set("X-Any", token)
		rq.Header.Set("User-Agent", "a "+token)
		rq.Header.Set("X-Client-Trace-Id", token)
		rs, err := http.DefaultTransport.RoundTrip(rq)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, rs.Body)
		rs.Body.Close()
	}
	select {
	case b := <-bodies:
		if !bytes.Contains(b, []byte("[redacted]")) || !bytes.Contains(b, []byte("ingress")) {
			t.Errorf("no spans: %q", b)
		}
		for i := 0; i+12 <= len(token); i += 12 {
			if strings.Contains(string(b), token[i:i+12]) {
				t.Errorf("%q is in a span: %q", token[i:i+12], b)
			}
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no spans")
	}
}
