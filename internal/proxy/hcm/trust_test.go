package hcm

import "testing"

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
