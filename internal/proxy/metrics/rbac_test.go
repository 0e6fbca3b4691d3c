package metrics

import (
	"strings"
	"testing"
)

// Counters of filters for connections have Envoy's names in both texts.
func TestRBACCounters(t *testing.T) {
	r := New(Self{})
	r.AddRBAC(func() []RBACCounter {
		return []RBACCounter{{"foo", "rbac.allowed", 1}, {"foo", "rbac.sh_.shadow_denied", 2}, {"tcp", "rbac.allowed", 3}}
	})
	var plain, prometheus strings.Builder
	if err := r.WritePlain(&plain); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePrometheus(&prometheus); err != nil {
		t.Fatal(err)
	}
	if want := "foo.rbac.allowed: 1\nfoo.rbac.sh_.shadow_denied: 2\ntcp.rbac.allowed: 3\n"; !strings.Contains(plain.String(), want) {
		t.Errorf("%s", plain.String())
	}
	const want = `# TYPE envoy_rbac_allowed counter
envoy_rbac_allowed{envoy_rbac_prefix="foo"} 1
envoy_rbac_allowed{envoy_rbac_prefix="tcp"} 3
`
	if !strings.Contains(prometheus.String(), want) {
		t.Errorf("%s", prometheus.String())
	}
}
