package listener_test

import (
	"io"
	"net/http"
	"testing"
)

// TestDestinationField: what names a destination goes on, as in Envoy, where filters and
// clusters may look at it, but for what clients say at an edge.
func TestDestinationField(t *testing.T) {
	for more, want := range map[string]string{"": "10.0.0.1:80", "use_remote_address: true": ""} {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Header.Get("X-Envoy-Original-Dst-Host")+r.Header.Get("X-Envoy-Retry-On"))
		}), ""))
		p.start(plainListener(more))
		rq, _ := http.NewRequest("GET", "http://"+p.addr, nil)
		rq.Header.Set("x-envoy-original-dst-host", "10.0.0.1:80")
		rq.Header.Set("x-envoy-retry-on", "5xx")
		rs, err := client(t).Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(rs.Body)
		rs.Body.Close()
		if string(b) != want {
			t.Errorf("%q: %q, want %q", more, b, want)
		}
	}
}
