package metrics

import (
	"fmt"
	"regexp"
	"slices"
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
		`connection_security_policy="unknown",response_code="200",grpc_response_status=""} 2` + "\n",
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

// Names and labels are those of Istio's documentation (Istio Standard Metrics).
func TestIstioLabels(t *testing.T) {
	r := New(Self{Workload: "w", Namespace: "n", Service: "s", Version: "v1", Cluster: "Kubernetes", Principal: "spiffe://t/ns/n/sa/a"})
	grpc := entry("inbound_127.0.0.1_80", "inbound|80||", 200, "spiffe://t/ns/b/sa/c")
	grpc.Request.Header.Add("content-type", "application/grpc")
	grpc.Response.Trailer.Add("grpc-status", "14")
	grpc.Messages = &exchange.Messages{Request: 2, Response: 3}
	r.Requests.Observe(grpc)
	bad := entry("inbound_127.0.0.1_80", "inbound|80||", 200, "spiffe://t/ns/b/sa/c")
	bad.Request.Header.Add("content-type", "application/grpc")
	bad.Response.Header.Add("grpc-status", "999")
	r.Requests.Observe(bad)
	r.Requests.Observe(entry("outbound", "outbound|80||x.y.svc.cluster.local", 503, ""))
	tcp := entry("outbound", "outbound|81||x.y.svc.cluster.local", 0, "")
	r.Requests.ObserveTCP(tcp, false)
	r.Requests.ObserveTCP(tcp, true)
	r.Requests.ObserveTCP(tcp, false)
	const common = `source_workload source_workload_namespace source_principal source_app source_version source_canonical_service source_canonical_revision source_cluster ` +
		`destination_workload destination_workload_namespace destination_principal destination_app destination_version destination_service destination_service_name destination_service_namespace ` +
		`destination_canonical_service destination_canonical_revision destination_cluster reporter request_protocol response_flags connection_security_policy`
	seen := map[string]bool{}
	for _, s := range r.collect(&Query{}) {
		seen[s.name] = true
		want := strings.Fields(common)
		if !strings.HasPrefix(s.name, "istio_tcp_") {
			want = append(want, "response_code", "grpc_response_status")
		}
		var got []string
		for _, l := range s.labels {
			got = append(got, l.name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%q\n%q", s.name, got, want)
		}
	}
	for _, n := range strings.Fields("istio_requests_total istio_request_messages_total istio_response_messages_total istio_request_duration_milliseconds istio_request_bytes istio_response_bytes istio_tcp_sent_bytes_total istio_tcp_received_bytes_total istio_tcp_connections_opened_total istio_tcp_connections_closed_total") {
		if !seen[n] {
			t.Errorf("no %s", n)
		}
	}
	var b strings.Builder
	if err := r.WritePrometheus(&b, Query{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`request_protocol="grpc",response_flags="-",connection_security_policy="none",response_code="200",grpc_response_status="14"} 1`, `grpc_response_status="2"} 1`,
		`request_protocol="http",response_flags="-",connection_security_policy="unknown",response_code="503",grpc_response_status=""} 1`,
		`source_cluster="Kubernetes"`, `destination_cluster="unknown"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
	for name, want := range map[string]string{"request": "2", "response": "3"} {
		if !regexp.MustCompile(`istio_` + name + `_messages_total\{[^}]*grpc_response_status="14"\} ` + want + "\n").MatchString(b.String()) {
			t.Errorf("messages of the %s: want %s", name, want)
		}
	}
	for name, want := range map[string]string{"opened": "2", "closed": "1"} {
		if !regexp.MustCompile(`istio_tcp_connections_` + name + `_total\{[^}]*request_protocol="tcp"[^}]*\} ` + want + "\n").MatchString(b.String()) {
			t.Errorf("connections %s: want %s", name, want)
		}
	}
	if !regexp.MustCompile(`istio_tcp_sent_bytes_total\{[^}]*\} 100\n`).MatchString(b.String()) || !regexp.MustCompile(`istio_tcp_received_bytes_total\{[^}]*\} 10\n`).MatchString(b.String()) {
		t.Error("bytes of connections")
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
