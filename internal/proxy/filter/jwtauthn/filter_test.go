package jwtauthn

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

const basic = `
providers:
  p: {issuer: i, local_jwks: {inline_string: JWKS_one}, audiences: [a]}
rules: [{match: {prefix: /}, requires: {provider_name: p}}]
`

func TestAnswers(t *testing.T) {
	f := newFilter(t, basic, Options{})
	good := token("one", `{"iss":"i","aud":"a","exp":1700000100}`)
	for _, c := range []struct {
		name    string
		x       *exchange.Exchange
		status  int
		body    string
		details string
	}{
		{"good", get("/", bearer(good)), 0, "OK", ""},
		{"scheme in another case", get("/", "authorization: bEARER "+good), 0, "OK", ""},
		{"spaces", get("/", "authorization: Bearer    "+good), 0, "OK", ""},
		{"parameter", get("/?x=y&access_token=" + good), 0, "OK", ""},
		{"escaped parameter", get("/?acc%65ss_token=" + strings.ReplaceAll(good, ".", "%2E")), 0, "OK", ""},
		{"missing", get("/"), 401, "Jwt is missing", "jwt_authn_access_denied{Jwt_is_missing}"},
		{"scheme alone", get("/", "authorization: Bearer "), 401, "Jwt is missing", "jwt_authn_access_denied{Jwt_is_missing}"},
		{"other scheme", get("/", "authorization: Basic "+good), 401, "Jwt is missing", "jwt_authn_access_denied{Jwt_is_missing}"},
		{"tab", get("/", "authorization: Bearer\t"+good), 401, "Jwt is missing", "jwt_authn_access_denied{Jwt_is_missing}"},
		{"prefix later", get("/", "authorization: x, Bearer "+good), 401, "Jwt is missing", "jwt_authn_access_denied{Jwt_is_missing}"},
		{"two fields", get("/", bearer(good), bearer(good)), 401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
			"jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}"},
		{"audience", get("/", bearer(token("one", `{"iss":"i","aud":"b"}`))), 403, "Audiences in Jwt are not allowed", "jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}"},
		{"issuer", get("/", bearer(token("one", `{"iss":"j","aud":"a"}`))), 401, "Jwt issuer is not configured", "jwt_authn_access_denied{Jwt_issuer_is_not_configured}"},
		{"issuer before time", get("/", bearer(token("one", `{"iss":"j","exp":1}`))), 401, "Jwt issuer is not configured", "jwt_authn_access_denied{Jwt_issuer_is_not_configured}"},
		{"expired before audience", get("/", bearer(token("one", `{"iss":"i","exp":1}`))), 401, "Jwt is expired", "jwt_authn_access_denied{Jwt_is_expired}"},
		{"audience before key", get("/", bearer(token("two", `{"iss":"i"}`))), 403, "Audiences in Jwt are not allowed", "jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}"},
		{"unknown kid", get("/", bearer(token("two", `{"iss":"i","aud":"a"}`))), 401, "Jwks doesn't have key to match kid or alg from Jwt",
			"jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}"},
		{"good header, bad parameter", get("/?access_token=x", bearer(good)), 401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
			"jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}"},
		{"second parameter bad", get("/?access_token=" + good + "&access_token=x"), 401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
			"jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}"},
	} {
		body := answer(f, c.x)
		if body != c.body || c.x.Response.Status != c.status || c.x.Details != c.details {
			t.Errorf("%s: %d %q (%s), want %d %q (%s)", c.name, c.x.Response.Status, body, c.x.Details, c.status, c.body, c.details)
		}
	}
	if s := f.Stats(); s.Allowed.Load() != 5 || s.Denied.Load() != 14 {
		t.Errorf("%d allowed, %d denied", s.Allowed.Load(), s.Denied.Load())
	}
}

func TestChallenge(t *testing.T) {
	f := newFilter(t, basic, Options{})
	for _, c := range []struct {
		x    *exchange.Exchange
		want string
	}{
		{get("/p?q=1"), `Bearer realm="http://host/p"`},
		{get(`/a"b\c`, bearer("x")), `Bearer realm="http://host/a\"b\\c", error="invalid_token"`},
		{get("/p?access_token=x"), `Bearer realm="http://host/p", error="invalid_token"`},
		{get("/" + strings.Repeat("x", 300)), `Bearer realm="http://host/` + strings.Repeat("x", 255) + `"`},
	} {
		answer(f, c.x)
		if got := c.x.Response.Header.Get("www-authenticate"); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	f = newFilter(t, basic+"strip_failure_response: true", Options{})
	x := get("/", bearer("x"))
	if body := answer(f, x); body != "" || x.Response.Status != 401 || x.Response.Header.Len() != 0 {
		t.Errorf("stripped: %d %q", x.Response.Status, body)
	}
}

func TestTextPrefix(t *testing.T) {
	f, err := tryFilter(t, basic, Options{}, "Origin ")
	if err != nil {
		t.Fatal(err)
	}
	x := get("/")
	if got := answer(f, x); got != "Origin Jwt is missing" || x.Details != "jwt_authn_access_denied{Jwt_is_missing}" {
		t.Errorf("%q %s", got, x.Details)
	}
}

func TestPreflight(t *testing.T) {
	f := newFilter(t, basic+"bypass_cors_preflight: true", Options{})
	x := get("/", "origin: o", "access-control-request-method: PUT")
	x.Request.Method = "OPTIONS"
	if got := answer(f, x); got != "OK" || f.Stats().CORSPreflightBypassed.Load() != 1 {
		t.Error(got)
	}
	x = get("/", "origin: o")
	x.Request.Method = "OPTIONS"
	if got := answer(f, x); got != "Jwt is missing" {
		t.Error(got)
	}
}

const outputs = `
providers:
  p:
    issuer: i
    local_jwks: {inline_string: JWKS_one}
    from_headers: [{name: X-Token, value_prefix: "tok "}]
    from_params: [jwt]
    from_cookies: [session]
    forward_payload_header: X-Payload
    payload_in_metadata: payload
    header_in_metadata: header
    normalize_payload_in_metadata: {space_delimited_claims: [scope]}
    jwt_cache_config: {}
    clear_route_cache: true
    claim_to_headers:
    - {header_name: X-Sub, claim_name: sub}
    - {header_name: X-Deep, claim_name: a.b}
    - {header_name: X-Dotted, claim_name: "https://x.y/z"}
    - {header_name: X-Path, claim_path: [{key: "https://x.y/z"}]}
    - {header_name: X-Num, claim_name: num}
    - {header_name: X-Flag, claim_name: flag}
    - {header_name: X-List, claim_name: list}
    - {header_name: X-Object, claim_name: a}
    - {header_name: X-Null, claim_name: "null"}
    - {header_name: X-Empty, claim_name: empty}
rules: [{match: {prefix: /}, requires: {provider_name: p}}]
`

const outputClaims = `{"iss":"i","sub":"s","a":{"b":"deep"},"https://x.y/z":"dotted","num":1.5,"flag":true,"list":["x",2,true],"null":null,"empty":"","scope":"r w"}`

func TestOutputs(t *testing.T) {
	f := newFilter(t, outputs, Options{})
	good := token("one", outputClaims)
	for _, place := range []string{"header", "param", "cookie", "header"} { // the last from the cache
		x := get("/p?a=1&b", "x-sub: spoofed", "x-payload: spoofed", "x-other: kept", "x-null: spoofed")
		switch place {
		case "header":
			x.Request.Header.Add("x-token", "tok "+good)
		case "param":
			x.Request.Path = "/p?a=1&j%77t=" + good + "&b"
		case "cookie":
			x.Request.Header.Add("cookie", "a=1; session=\""+good+"\"; b=2")
		}
		if got := answer(f, x); got != "OK" {
			t.Fatalf("%s: %s", place, got)
		}
		want := map[string]string{
			"x-other": "kept", "x-payload": strings.Split(good, ".")[1], "x-sub": "s", "x-deep": "deep", "x-dotted": "dotted", "x-path": "dotted",
			"x-num": "1.5", "x-flag": "true", "x-list": "x,2,true", "x-object": `{"b":"deep"}`,
		}
		if place == "cookie" {
			want["cookie"] = x.Request.Header.Get("cookie") // stays
		}
		got := map[string]string{}
		for _, h := range x.Request.Header.Fields() {
			got[h.Name] = h.Value
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: headers %v, want %v", place, got, want)
		}
		if x.Request.Path != "/p?a=1&b" {
			t.Errorf("%s: path %s", place, x.Request.Path)
		}
		m := x.Metadata[Namespace]
		if p := m["payload"]; p.Get("sub").JSON() != `"s"` || p.Get("scope").JSON() != `["r","w"]` {
			t.Errorf("payload %s", p.JSON())
		}
		if h := m["header"]; h.Get("alg").JSON() != `"EdDSA"` {
			t.Errorf("header %s", h.JSON())
		}
		if !x.RouteCleared() {
			t.Error("the route is not cleared")
		}
		want2 := []exchange.Secret{{Kind: exchange.SecretHeader, Name: "x-token"}, {Kind: exchange.SecretParam, Name: "jwt"}, {Kind: exchange.SecretCookie, Name: "session"}}
		if !reflect.DeepEqual(x.Secrets(), want2) {
			t.Errorf("secrets %v", x.Secrets())
		}
	}
	if hits := f.Stats().CacheHit.Load(); hits != 3 {
		t.Errorf("%d hits", hits)
	}
}

func TestSplitClaims(t *testing.T) {
	in := map[string]any{"scope": " r  w ", "one": "x", "empty": "", "spaces": "  ", "tab": "a\tb", "list": []any{"a b"}, "kept": "a b"}
	got := splitClaims(jsondoc.Of(in), []string{"scope", "one", "empty", "spaces", "tab", "list", "none"}).Any()
	want := map[string]any{"scope": []any{"r", "w"}, "one": []any{"x"}, "empty": "", "spaces": "  ", "tab": []any{"a\tb"}, "list": []any{"a b"}, "kept": "a b"}
	if !reflect.DeepEqual(got, any(want)) {
		t.Errorf("%v of %v", got, in)
	}
}

func TestClaimThatIsNoHeader(t *testing.T) {
	f := newFilter(t, outputs, Options{})
	x := get("/", "x-token: tok "+token("one", `{"iss":"i","sub":"a\r\nx-admin: 1"}`))
	if got := answer(f, x); got != "invalid header value for: x-sub" || x.Response.Status != 503 {
		t.Errorf("%d %s", x.Response.Status, got)
	}
}

// fakeRoute has a per-route configuration.
type fakeRoute struct{ config any }

func (r fakeRoute) FilterConfig(string) any { return r.config }

func TestPerRoute(t *testing.T) {
	f := newFilter(t, basic+"requirement_map: {q: {provider_name: p}, open: {}}", Options{})
	route := func(m *jwtv3.PerRouteConfig) any {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Factory(Options{}).PerRoute(a)
		if err != nil {
			t.Fatal(err)
		}
		return fakeRoute{c}
	}
	named := func(n string) any {
		return route(&jwtv3.PerRouteConfig{RequirementSpecifier: &jwtv3.PerRouteConfig_RequirementName{RequirementName: n}})
	}
	for _, c := range []struct {
		route  any
		status int
		body   string
	}{
		{route(&jwtv3.PerRouteConfig{RequirementSpecifier: &jwtv3.PerRouteConfig_Disabled{Disabled: true}}), 0, "OK"},
		{named("open"), 0, "OK"},
		{named("q"), 401, "Jwt is missing"},
		{named("nope"), 403, "Failed JWT authentication: Wrong requirement_name: nope. It should be one of [open,q]"},
		{fakeRoute{nil}, 401, "Jwt is missing"},
		{nil, 401, "Jwt is missing"},
	} {
		x := get("/")
		x.Route = c.route
		if got := answer(f, x); got != c.body || x.Response.Status != c.status {
			t.Errorf("%d %q, want %d %q", x.Response.Status, got, c.status, c.body)
		}
	}
}
