package metrics

import (
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// Counters have Envoy's names in both texts, whoever's they are.
func TestCounters(t *testing.T) {
	r := New(Self{})
	http := func(of, name string, v uint64) counters.Value {
		return counters.Value{Name: counters.Name{Scope: counters.HTTP, Of: of, Name: name, Gauge: name == "fault.active_faults"}, Value: v}
	}
	network := func(of, name string, v uint64) counters.Value {
		return counters.Value{Name: counters.Name{Scope: counters.Network, Of: of, Name: name}, Value: v}
	}
	r.AddCounters(func() []counters.Value {
		return []counters.Value{http("in", "jwt_authn.denied", 2), http("out:80", "jwt_authn.legacy-1.denied", 3), http("a", "jwt_authn.denied", 1)}
	})
	r.AddCounters(func() []counters.Value {
		return []counters.Value{http("in", "fault.active_faults", 4), network("foo", "rbac.allowed", 1), network("foo", "rbac.sh_.shadow_denied", 2), network("tcp", "rbac.allowed", 3)}
	})
	var plain, prometheus strings.Builder
	if err := r.WriteText(&plain, Query{}); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePrometheus(&prometheus, Query{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"http.a.jwt_authn.denied: 1\nhttp.in.fault.active_faults: 4\nhttp.in.jwt_authn.denied: 2\nhttp.out_80.jwt_authn.legacy-1.denied: 3\n",
		"foo.rbac.allowed: 1\nfoo.rbac.sh_.shadow_denied: 2\n", "tcp.rbac.allowed: 3\n",
	} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("no %q in\n%s", want, plain.String())
		}
	}
	for _, want := range []string{`# TYPE envoy_http_jwt_authn_denied counter
envoy_http_jwt_authn_denied{envoy_http_conn_manager_prefix="a"} 1
envoy_http_jwt_authn_denied{envoy_http_conn_manager_prefix="in"} 2
# TYPE envoy_http_jwt_authn_legacy_1_denied counter
envoy_http_jwt_authn_legacy_1_denied{envoy_http_conn_manager_prefix="out:80"} 3
`, `# TYPE envoy_http_fault_active_faults gauge
`, `# TYPE envoy_rbac_allowed counter
envoy_rbac_allowed{envoy_rbac_prefix="foo"} 1
envoy_rbac_allowed{envoy_rbac_prefix="tcp"} 3
`} {
		if !strings.Contains(prometheus.String(), want) {
			t.Errorf("no %q in\n%s", want, prometheus.String())
		}
	}
}
