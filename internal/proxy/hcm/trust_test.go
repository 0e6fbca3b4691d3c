package hcm

import (
	"net/netip"
	"testing"
)

// TestDisguised: what the proxy says itself cannot be said with underscores.
func TestDisguised(t *testing.T) {
	for name, want := range map[string]bool{
		"x_forwarded_client_cert": true, "x-forwarded_for": true, "x_envoy_original_path": true, "x_request_id": true,
		"x-forwarded-client-cert": false, "x_user": false, "user_agent": false, "": false,
	} {
		if disguised(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// TestNamedClient: of what stands in X-Forwarded-For the trusted proxy's own word alone counts,
// as an address like a connection's; without it there is nobody named.
func TestNamedClient(t *testing.T) {
	for _, c := range []struct {
		hops          uint32
		forwarded, is string
	}{
		{1, "", ""}, {1, " , ", ""}, {1, "203.0.113.9,", ""}, {1, "203.0.113.9, x", ""}, {1, "203.0.113.9:80", ""}, {1, "[2001:db8::1]", ""},
		{1, "203.0.113.9,198.51.100.7", "198.51.100.7"}, {1, "198.51.100.7", "198.51.100.7"},
		{2, "198.51.100.7", ""}, {2, "203.0.113.9, 198.51.100.7", "203.0.113.9"}, {2, "192.0.2.1,203.0.113.9 ,x", "203.0.113.9"},
		{1 << 31, "203.0.113.9,198.51.100.7", ""},
		{1, "::ffff:203.0.113.9", "203.0.113.9"}, {1, "2001:db8::1", "2001:db8::1"}, {1, `fe80::1%x" 200`, "fe80::1"},
	} {
		want, _ := netip.ParseAddr(c.is)
		if got := (&Manager{trustedHops: c.hops}).client(c.forwarded); got != want {
			t.Errorf("%d hops, %q: %v", c.hops, c.forwarded, got)
		}
	}
}
