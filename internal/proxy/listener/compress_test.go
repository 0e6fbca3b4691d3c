package listener_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/filter/compressor"
)

// TestCompressedEvents: events come through compressed, each before the next is sent, over
// every pair of protocols; and a request's content goes up compressed.
func TestCompressedEvents(t *testing.T) {
	more := make(chan string)
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				fmt.Fprint(w, err)
				return
			}
			b, err := io.ReadAll(z)
			fmt.Fprintf(w, "%s %d %v %v", r.Header.Get("Content-Encoding"), len(b), err, r.ContentLength)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 4 {
			e := <-more
			io.WriteString(w, e)
			w.(http.Flusher).Flush()
		}
	}
	for _, up2 := range []bool{false, true} {
		p := newProxy(t, nil)
		p.opts.Filters = []filter.Factory{compressor.Factory(nil)}
		up, config := backend(t, serve), ""
		if up2 {
			up, config = backend2(t, false, serve), speak(explicit2)
		}
		p.cluster(staticCluster("up", up, config))
		p.start(strings.Replace(plainListener(""), "http_filters:", `http_filters:
      - name: z
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor
          request_direction_config: {}
          response_direction_config: {common_config: {content_type: [text/event-stream]}}
          compressor_library: {name: l, typed_config: {"@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip}}`, 1))
		for _, down2 := range []bool{false, true} {
			c := client(t)
			if down2 {
				c = client2(t)
			}
			rq, err := http.NewRequest("GET", "http://"+p.addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			rq.Header.Set("Accept-Encoding", "gzip")
			done := make(chan struct{})
			go func() { more <- "data: 0\n"; close(done) }()
			rs, err := c.Do(rq)
			if err != nil {
				t.Fatal(err)
			}
			<-done
			z, err := gzip.NewReader(rs.Body)
			if err != nil || rs.Header.Get("Content-Encoding") != "gzip" {
				t.Fatal(err, rs.Header)
			}
			lines := bufio.NewReader(z)
			for i := range 3 {
				if line, err := lines.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("up2 %v, down2 %v: %q %v", up2, down2, line, err)
				}
				more <- fmt.Sprintf("data: %d\n", i+1)
			}
			rs.Body.Close() // the client leaves in the midst
			rs, err = c.Post("http://"+p.addr, "text/event-stream", strings.NewReader("short"))
			if err != nil {
				t.Fatal(err)
			}
			rs.Body.Close()
			rs, err = c.Post("http://"+p.addr, "text/plain", strings.NewReader(strings.Repeat("long", 10000)))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(rs.Body); string(b) != "gzip 40000 <nil> -1" {
				t.Errorf("up2 %v, down2 %v: %q %v", up2, down2, b, err)
			}
			rs.Body.Close()
		}
	}
}
