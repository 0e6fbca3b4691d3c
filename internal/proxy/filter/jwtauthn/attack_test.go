package jwtauthn

import (
	"strings"
	"testing"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// attacked has two issuers, each with a cache and a header of its own, and every kind
// of requirement that lets a request without a good token pass.
const attacked = `
providers:
  a: {issuer: a, local_jwks: {inline_string: JWKS_one}, jwt_cache_config: {}, forward_payload_header: x-payload,
      claim_to_headers: [{header_name: x-user, claim_name: sub}, {header_name: x-role, claim_name: role}]}
  b: {issuer: b, local_jwks: {inline_string: JWKS_two}, jwt_cache_config: {}, from_headers: [{name: x-b}],
      claim_to_headers: [{header_name: x-tenant, claim_name: tenant}]}
requirement_map:
  missing: {allow_missing: {}}
  failed: {allow_missing_or_failed: {}}
  any: {requires_any: {requirements: [{provider_name: a}, {provider_name: b}, {allow_missing_or_failed: {}}]}}
  all: {requires_all: {requirements: [{provider_name: a}, {provider_name: b}]}}
  a: {provider_name: a}
  b: {provider_name: b}
rules:
- {match: {path: /missing}, requirement_name: missing}
- {match: {path: /failed}, requirement_name: failed}
- {match: {path: /any}, requirement_name: any}
- {match: {path: /all}, requirement_name: all}
- {match: {path: /a}, requirement_name: a}
- {match: {path: /b}, requirement_name: b}
bypass_cors_preflight: true`

// Whatever lets a request pass, headers that say who somebody is are a token's, not the
// client's.
func TestNobodyWritesWhatTokensSay(t *testing.T) {
	f := newFilter(t, attacked, Options{})
	forged := strings.Replace(token("one", `{"iss":"a","sub":"root"}`), ".", ".e30", 1)
	spoof := []string{"x-user: root", "X_Role: root", "x-tenant: root", "x-payload: root", "x-role: "}
	off, err := anypb.New(&jwtv3.PerRouteConfig{RequirementSpecifier: &jwtv3.PerRouteConfig_Disabled{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	disabled, err := Factory(Options{}).PerRoute(off)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		headers    []string
		change     func(*exchange.Exchange)
		want       map[string]string
	}{
		{"no rule", "/open", nil, nil, nil},
		{"missing", "/missing", nil, nil, nil},
		{"a forged one is let through", "/failed", []string{bearer(forged)}, nil, nil},
		{"a forged one of alternatives", "/any", []string{bearer(forged), "x-b: x"}, nil, nil},
		{"preflight", "/a", []string{"origin: o", "access-control-request-method: GET"}, func(x *exchange.Exchange) { x.Request.Method = "OPTIONS" }, nil},
		{"disabled for the route", "/a", nil, func(x *exchange.Exchange) { x.Route = fakeRoute{disabled} }, nil},
		{"a claim is missing", "/a", []string{bearer(token("one", `{"iss":"a","sub":"me"}`))}, nil, map[string]string{"x-user": "me"}},
		{"the other issuer's claims", "/any", []string{"x-b: " + token("two", `{"iss":"b","tenant":"t","sub":"root","role":"root"}`)}, nil, map[string]string{"x-tenant": "t"}},
	} {
		x := get(c.path, c.headers...)
		for _, s := range spoof {
			n, v, _ := strings.Cut(s, ": ")
			x.Request.Header.Add(strings.ToLower(n), v)
		}
		if c.change != nil {
			c.change(x)
		}
		if got := answer(f, x); got != "OK" {
			t.Errorf("%s: %s", c.name, got)
		}
		for _, h := range []string{"x-user", "x-role", "x_role", "x-tenant"} {
			if n, got := x.Request.Header.Count(h), x.Request.Header.Get(h); got != c.want[h] || n > 1 {
				t.Errorf("%s: %s is %q, %d times", c.name, h, got, n)
			}
		}
		if got := x.Request.Header.Get("x-payload"); got == "root" {
			t.Errorf("%s: x-payload is the client's", c.name)
		}
	}
}

// A token that one provider has in its cache is nothing to another one, and a good one
// in one place does not cover a bad one in another.
func TestVerdictsAreAProvidersOwn(t *testing.T) {
	f := newFilter(t, attacked, Options{})
	a, b := token("one", `{"iss":"a"}`), token("two", `{"iss":"b"}`)
	ofA := token("one", `{"iss":"b"}`) // a's key, b's name
	for range 2 {                      // the second time from the cache
		for _, c := range []struct {
			path    string
			headers []string
			want    string
		}{
			{"/a", []string{bearer(a)}, "OK"},
			{"/b", []string{"x-b: " + a}, "Jwt issuer is not configured"},
			{"/b", []string{"x-b: " + ofA}, "Jwks doesn't have key to match kid or alg from Jwt"},
			{"/b", []string{"x-b: " + b}, "OK"},
			{"/a", []string{bearer(b)}, "Jwt issuer is not configured"},
			{"/a", []string{bearer(ofA)}, "Jwt issuer is not configured"},
			{"/all", []string{bearer(a), "x-b: " + b}, "OK"},
			{"/all", []string{bearer(a), "x-b: " + ofA}, "Jwks doesn't have key to match kid or alg from Jwt"},
			{"/all", []string{bearer(a)}, "Jwt is missing"},
			{"/missing", []string{bearer(a), "x-b: " + ofA}, "Jwks doesn't have key to match kid or alg from Jwt"},
			{"/missing", []string{"x-b: " + ofA, "x-b: " + b}, "Jwks doesn't have key to match kid or alg from Jwt"},
			{"/missing", []string{"x-b: " + b, "x-b: " + ofA}, "Jwks doesn't have key to match kid or alg from Jwt"},
		} {
			if got := answer(f, get(c.path, c.headers...)); got != c.want {
				t.Errorf("%s: %q, want %q", c.path, got, c.want)
			}
		}
	}
}
