package routing

import (
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
	clusters := list{
		balanced("bounds", ports, object{"circuit_breakers": object{"thresholds": list{bounds}}}),
		balanced("defaults", ports, object{"circuit_breakers": object{"thresholds": list{object{"track_remaining": true}, bounds}}}),
	}
	routes := list{
		object{"match": object{"path": "/bounds"}, "route": object{"cluster": "bounds", "timeout": "0s"}},
	}
	gauges := func(t *testing.T, admin int, cluster string) string {
		var all []string
		for _, name := range []string{"cx_open", "rq_open", "rq_pending_open", "rq_retry_open", "remaining_cx{", "remaining_pending", "remaining_rq", "remaining_retries"} {
			if v := counted(t, admin, cluster, "circuit_breakers_default_"+strings.TrimSuffix(name, "{")); name != "remaining_cx{" {
				all = append(all, name+v)
			} else {
				v, _, _ = strings.Cut(v, ",") // Envoy counts pools, too
				all = append(all, "remaining_cx"+v)
			}
		}
		return strings.Join(all, ", ")
	}
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
		return out
	})
}
