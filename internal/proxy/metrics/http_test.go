package metrics

import (
	"strings"
	"testing"
)

// Counters of connection managers have Envoy's names in both texts.
func TestHTTPCounters(t *testing.T) {
	r := New(Self{})
	r.AddHTTP(func() []HTTPCounter {
		return []HTTPCounter{{"in", "jwt_authn.denied", 2}, {"out:80", "jwt_authn.legacy-1.denied", 3}, {"a", "jwt_authn.denied", 1}}
	})
	var plain, prometheus strings.Builder
	if err := r.WritePlain(&plain); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePrometheus(&prometheus); err != nil {
		t.Fatal(err)
	}
	const wantPlain = "http.a.jwt_authn.denied: 1\nhttp.in.jwt_authn.denied: 2\nhttp.out_80.jwt_authn.legacy-1.denied: 3\n"
	const wantText = `# TYPE envoy_http_jwt_authn_denied counter
envoy_http_jwt_authn_denied{envoy_http_conn_manager_prefix="a"} 1
envoy_http_jwt_authn_denied{envoy_http_conn_manager_prefix="in"} 2
# HELP envoy_http_jwt_authn_legacy_1_denied Envoy's counter jwt_authn.legacy-1.denied of a connection manager.
# TYPE envoy_http_jwt_authn_legacy_1_denied counter
envoy_http_jwt_authn_legacy_1_denied{envoy_http_conn_manager_prefix="out:80"} 3
`
	if !strings.Contains(plain.String(), wantPlain) {
		t.Errorf("%s", plain.String())
	}
	if !strings.Contains(prometheus.String(), wantText) {
		t.Errorf("%s", prometheus.String())
	}
}
