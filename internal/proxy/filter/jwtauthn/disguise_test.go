package jwtauthn

import "testing"

// TestDisguisedOutput: a field that a provider writes cannot be sent with underscores
// for hyphens either, which many servers cannot tell apart.
func TestDisguisedOutput(t *testing.T) {
	f := newFilter(t, `
providers: {p: {issuer: i, local_jwks: {inline_string: JWKS_one}, claim_to_headers: [{header_name: x-user, claim_name: sub}]}}
rules: [{match: {prefix: /}, requires: {requires_any: {requirements: [{provider_name: p}, {allow_missing: {}}]}}}]`, Options{})
	x := get("/", "x_user: admin", "x-user: admin", "x_other: stays")
	if !f.Decode(x) {
		t.Fatal("refused")
	}
	for name, want := range map[string]string{"x_user": "", "x-user": "", "x_other": "stays"} {
		if got := x.Request.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
