package listener_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestTrailers: trailers pass where both sides enable them, as in Envoy, and are
// dropped elsewhere: no filter has judged them.
func TestTrailers(t *testing.T) {
	seen := make(chan string, 1)
	up := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Trailer.Get("X-T")
		w.Header().Set("Trailer", "X-R")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("X-R", "r")
	})
	const explicit = `
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http_protocol_options: {enable_trailers: true}}`
	for _, down := range []bool{false, true} {
		for _, cluster := range []string{"", "http_protocol_options: {enable_trailers: true}", explicit} {
			t.Run(fmt.Sprint(down, cluster), func(t *testing.T) {
				p := newProxy(t, nil)
				p.cluster(staticCluster("up", up, cluster))
				p.start(plainListener(fmt.Sprintf("http_protocol_options: {enable_trailers: %v}", down)))
				both := down && cluster != ""
				got := raw(t, p.addr, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: t\r\n\r\n")
				if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "\r\n0\r\n") || strings.Contains(strings.ToLower(got), "x-r: r") != both {
					t.Errorf("%q", got)
				}
				if tr := <-seen; (tr == "t") != both {
					t.Errorf("the service was sent the trailer %q", tr)
				}
			})
		}
	}
}
