package listener_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// TestPriority: a route's priority says whose circuit breakers its requests meet.
func TestPriority(t *testing.T) {
	for priority, want := range map[string]string{"DEFAULT": "200 ", "HIGH": "503 UO"} {
		logged := make(chan string, 1)
		p := newProxy(t, nil)
		p.opts.Observe = func(x *exchange.Exchange) { logged <- x.Flags }
		p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) {}), "circuit_breakers: {thresholds: [{priority: HIGH, max_requests: 0}]}"))
		p.start(strings.Replace(plainListener(""), "cluster: up", "cluster: up, priority: "+priority, 1))
		rs, err := client(t).Get("http://" + p.addr)
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		if got := fmt.Sprint(rs.StatusCode, " ", <-logged); got != want {
			t.Errorf("%s: %s, want %s", priority, got, want)
		}
	}
}
