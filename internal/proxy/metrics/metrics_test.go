package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func entry(listener, cluster string, code int, peer string) *exchange.Exchange {
	start := time.Unix(100, 0)
	x := &exchange.Exchange{Listener: listener, Cluster: cluster, Start: start, Conn: &exchange.Conn{PeerURI: peer}}
	x.Response.Status = code
	x.Ended, x.BytesReceived, x.BytesSent = start.Add(7*time.Millisecond), 10, 100
	return x
}

func TestText(t *testing.T) {
	r := New(Self{Workload: "customer-v1", Namespace: "tutorial", Service: "customer", Version: "v1"})
	r.Add("usher_x", Gauge, "A \\ value.\nTwo lines.", func() float64 { return 1.5 })
	r.Requests.Observe(entry("inbound_127.0.0.1_80", "inbound|80||", 401, "spiffe://cluster.local/ns/a\"b/sa/c"))
	r.Requests.Observe(entry("outbound", "outbound|8080|v1|preference.tutorial.svc.cluster.local", 200, ""))
	r.Requests.Observe(entry("outbound", "outbound|8080|v1|preference.tutorial.svc.cluster.local", 200, ""))
	var b strings.Builder
	if err := r.WritePrometheus(&b, Query{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# HELP usher_x A \\\\ value.\\nTwo lines.\n# TYPE usher_x gauge\nusher_x 1.5\n",
		`reporter="destination",`, `source_principal="spiffe://cluster.local/ns/a\"b/sa/c"`,
		`destination_service="preference.tutorial.svc.cluster.local",destination_service_name="preference",destination_service_namespace="tutorial"`,
		`connection_security_policy="unknown"} 2` + "\n",
		`le="5"} 0`, `le="10"} 2`, `le="+Inf"} 2`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing %q", want)
		}
	}
	if n := strings.Count(b.String(), "# TYPE istio_requests_total counter"); n != 1 {
		t.Errorf("%d heads", n)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	r := newRequests(Self{})
	for i := range 2 * maxSeries {
		r.Observe(entry("outbound", fmt.Sprint("c", i), 200, ""))
	}
	if len(r.all) > maxSeries+1 {
		t.Errorf("%d series", len(r.all))
	}
	if got := r.all[key{overflow: true}].count.Load(); got != maxSeries {
		t.Errorf("%d counted together", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := newRequests(Self{})
	e := entry("outbound", "c", 200, "")
	b.ReportAllocs()
	for b.Loop() {
		r.Observe(e)
	}
}
