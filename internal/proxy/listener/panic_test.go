package listener_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
)

type bomb struct{}

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
	p.opts.Filters = []filter.Factory{{
		TypeURL:  "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors",
		New:      func(filter.Config) (filter.Filter, error) { return bomb{}, nil },
		PerRoute: func(*anypb.Any) (any, error) { return nil, nil },
	}}
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start(strings.Replace(plainListener(""), "http_filters:\n", "http_filters:\n      - {name: bomb, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}\n", 1))
	raw(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}
