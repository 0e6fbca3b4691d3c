package routing

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestSameBreakers compares the gauges of circuit breakers while requests are under way.
func TestSameBreakers(t *testing.T) {
	ports := servers(t)
	bounds := object{"max_connections": 9, "max_pending_requests": 8, "max_requests": 2, "max_retries": 7, "track_remaining": true}
	high := object{"priority": "HIGH", "max_connections": 9, "max_pending_requests": 3, "max_requests": 1, "max_retries": 5, "track_remaining": true}
	clusters := list{
		balanced("one", ports[:1], nil),
		balanced("both", ports, object{"circuit_breakers": object{"thresholds": list{bounds, high}}}),
		balanced("bounds", ports, object{"circuit_breakers": object{"thresholds": list{bounds}}}),
		balanced("defaults", ports, object{"circuit_breakers": object{"thresholds": list{object{"track_remaining": true}, bounds}}}),
	}
	routes := list{
		object{"match": object{"path": "/bounds"}, "route": object{"cluster": "bounds", "timeout": "0s"}},
		object{"match": object{"path": "/one"}, "route": object{"cluster": "one"}},
		object{"match": object{"path": "/one/high"}, "route": object{"cluster": "one", "priority": "HIGH"}},
		object{"match": object{"path": "/high"}, "route": object{"cluster": "both", "timeout": "0s", "priority": "HIGH"}},
		object{"match": object{"path": "/default"}, "route": object{"cluster": "both", "timeout": "0s", "priority": "DEFAULT"}},
	}
	gaugesOf := func(t *testing.T, admin int, cluster, priority string) string {
		var all []string
		for _, name := range []string{"cx_open", "rq_open", "rq_pending_open", "rq_retry_open", "remaining_cx{", "remaining_pending", "remaining_rq", "remaining_retries"} {
			if v := counted(t, admin, cluster, "circuit_breakers_"+priority+"_"+strings.TrimSuffix(name, "{")); name != "remaining_cx{" {
				all = append(all, name+v)
			} else {
				v, _, _ = strings.Cut(v, ",") // Envoy counts pools, too
				all = append(all, "remaining_cx"+v)
			}
		}
		return strings.Join(all, ", ")
	}
	gauges := func(t *testing.T, admin int, cluster string) string { return gaugesOf(t, admin, cluster, "default") }
	both(t, clusters, routes, func(port, admin int) (out []string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		out = append(out, "at rest: "+gauges(t, admin, "bounds"), "left out: "+gauges(t, admin, "defaults"))
		for range 2 {
			go asked(client, port, "/bounds", "01234", "hang", 1)
		}
		harness.Eventually(t, 10*time.Second, "two requests are under way", func() (bool, any) {
			got := gauges(t, admin, "bounds")
			return strings.Contains(got, "rq_open 1"), got
		})
		out = append(out, "at the bound: "+gauges(t, admin, "bounds"), "one more: "+asked(client, port, "/bounds", "", "", 1))
		both := func() string { return gauges(t, admin, "both") + "; " + gaugesOf(t, admin, "both", "high") }
		out = append(out, "both at rest: "+both())
		go asked(client, port, "/high", "01234", "hang", 1)
		harness.Eventually(t, 10*time.Second, "a request of priority HIGH is under way", func() (bool, any) {
			return strings.Contains(gaugesOf(t, admin, "both", "high"), "rq_open 1"), both()
		})
		out = append(out, "HIGH at the bound: "+both(), "one more: "+asked(client, port, "/high", "", "", 1), fmt.Sprint("another is answered: ", asked(client, port, "/default", "", "", 1) != "error"))
		for _, path := range []string{"/one", "/one", "/one/high", "/one/high", "/one"} {
			asked(client, port, path, "", "", 1)
		}
		out = append(out, "connections: "+counted(t, admin, "one", "upstream_cx_total"))
		return out
	})
}
