package listener_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

type bomb struct{}

// lateBomb finds its fault when an answer has come.
type lateBomb struct{}

func (lateBomb) Decode(*exchange.Exchange) bool { return true }
func (lateBomb) Encode(*exchange.Exchange)      { panic("a fault in a filter") }

// TestPanicLeavesNoConnection: a fault in us while the upstream answers leaves neither its
// connection nor the request open, also while the request is still being sent.
func TestPanicLeavesNoConnection(t *testing.T) {
	for name, request := range map[string]string{
		"whole":      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"being sent": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ended := newEvent()
			p := newProxy(t, nil)
			p.opts.Counters = &counters.Set{}
			p.cluster(staticCluster("up", proxytest.Serve(t, func(_ int, c net.Conn) {
				c.Read(make([]byte, 4096))
				io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
				io.Copy(io.Discard, c)
				ended.set()
			}), ""))
			with(p, lateBomb{})
			if got := raw(t, p.addr, request); got != "" {
				t.Error(got)
			}
			ended.wait(t, "the end of the upstream's connection")
			for _, v := range p.opts.Counters.List() {
				if v.Name.Name == "downstream_rq_active" && v.Value != 0 {
					t.Errorf("%d requests of clients are active", v.Value)
				}
			}
			cluster := p.snap.Load().Clusters["up"]
			for _, g := range cluster.Gauges() {
				if g.Name.Name == "upstream_rq_active" && g.Value != 0 {
					t.Errorf("%d requests are active", g.Value)
				}
			}
		})
	}
}

func (bomb) Decode(*exchange.Exchange) bool { panic("a fault in a filter") }

// A fault in a filter must cost one connection, not the process.
func TestPanicEndsOneConnection(t *testing.T) {
	if os.Getenv("BOMB") == "" {
		c := exec.Command(os.Args[0], "-test.run=TestPanicEndsOneConnection")
		c.Env = append(os.Environ(), "BOMB=1")
		out, err := c.CombinedOutput()
		if err != nil && strings.Contains(string(out), "panic: a fault in a filter") {
			t.Errorf("the process died: %v\n%.300s", err, out)
		}
		return
	}
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, echo), ""))
	with(p, bomb{})
	raw(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}

// with starts the proxy with a filter.
func with(p *proxy, f filter.Filter) {
	p.opts.Filters = []filter.Factory{{
		TypeURL:  "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors",
		New:      func(filter.Config) (filter.Filter, error) { return f, nil },
		PerRoute: func(*anypb.Any) (any, error) { return nil, nil },
	}}
	p.start(strings.Replace(plainListener(""), "http_filters:\n", "http_filters:\n      - {name: f, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}\n", 1))
}
