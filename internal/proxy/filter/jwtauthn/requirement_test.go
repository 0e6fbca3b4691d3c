package jwtauthn

import (
	"encoding/json"
	"strings"
	"testing"
)

const twoProviders = `
providers:
  a: {issuer: i, local_jwks: {inline_string: JWKS_one}, forward: true, failed_status_in_metadata: failed}
  b: {issuer: j, local_jwks: {inline_string: JWKS_two}, forward: true, from_headers: [{name: x-b}]}
  open: {local_jwks: {inline_string: JWKS_one}, forward: true, from_params: [o]}
rules: [{match: {prefix: /}, requires: REQUIREMENT}]
`

func TestRequirements(t *testing.T) {
	ta, tb := token("one", `{"iss":"i","aud":"x"}`), token("two", `{"iss":"j"}`)
	expired, foreign := token("one", `{"iss":"i","exp":1}`), token("one", `{"iss":"z"}`)
	const (
		missing, form, unknown = "Jwt is missing", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections", "Jwt issuer is not configured"
		old, aud               = "Jwt is expired", "Audiences in Jwt are not allowed"
	)
	for _, c := range []struct {
		requirement string
		headers     []string
		want        string
	}{
		{`{}`, nil, "OK"},
		{`{}`, []string{bearer("x")}, "OK"},
		{`{provider_and_audiences: {provider_name: a, audiences: [x]}}`, []string{bearer(ta)}, "OK"},
		{`{provider_and_audiences: {provider_name: a, audiences: [q]}}`, []string{bearer(ta)}, aud},
		{`{allow_missing: {}}`, nil, "OK"},
		{`{allow_missing: {}}`, []string{bearer(ta)}, "OK"},
		{`{allow_missing: {}}`, []string{bearer("x")}, form},
		{`{allow_missing: {}}`, []string{bearer(foreign)}, unknown},
		{`{allow_missing_or_failed: {}}`, nil, "OK"},
		{`{allow_missing_or_failed: {}}`, []string{bearer("x")}, "OK"},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}]}}`, nil, missing},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}]}}`, []string{"x-b: " + tb}, "OK"},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}]}}`, []string{bearer(foreign)}, unknown},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}]}}`, []string{bearer(expired), "x-b: " + ta}, old},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}]}}`, []string{bearer(expired), "x-b: x"}, form},
		{`{requires_all: {requirements: [{provider_name: a}, {provider_name: b}]}}`, []string{bearer(ta), "x-b: " + tb}, "OK"},
		{`{requires_all: {requirements: [{provider_name: a}, {provider_name: b}]}}`, []string{bearer(ta)}, missing},
		{`{requires_all: {requirements: [{provider_name: b}, {provider_name: a}]}}`, []string{bearer("x"), "x-b: " + ta}, unknown},
		{`{requires_any: {requirements: [{provider_name: a}, {allow_missing: {}}]}}`, nil, "OK"},
		{`{requires_any: {requirements: [{provider_name: a}, {allow_missing: {}}]}}`, []string{bearer(ta)}, "OK"},
		{`{requires_any: {requirements: [{provider_name: a}, {allow_missing: {}}]}}`, []string{bearer(expired)}, old},
		{`{requires_any: {requirements: [{provider_name: a}, {allow_missing: {}}]}}`, []string{bearer(foreign)}, unknown},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}, {allow_missing: {}}]}}`, []string{bearer(ta), "x-b: " + tb}, "OK"},
		// One good token lets no bad one through.
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}, {allow_missing: {}}]}}`, []string{bearer(ta), "x-b: x"}, form},
		{`{requires_any: {requirements: [{provider_name: a}, {provider_name: b}, {allow_missing: {}}]}}`, []string{bearer(expired), "x-b: " + tb}, old},
		{`{requires_any: {requirements: [{provider_name: a}, {allow_missing_or_failed: {}}]}}`, []string{bearer(expired)}, "OK"},
		{`{requires_all: {requirements: [{requires_any: {requirements: [{provider_name: a}, {allow_missing: {}}]}}, {provider_name: b}]}}`, []string{"x-b: " + tb}, "OK"},
		{`{requires_all: {requirements: [{requires_any: {requirements: [{provider_name: a}, {allow_missing: {}}]}}, {provider_name: b}]}}`, []string{bearer("x"), "x-b: " + tb}, form},
	} {
		f := newFilter(t, strings.Replace(twoProviders, "REQUIREMENT", c.requirement, 1), Options{})
		x := get("/", c.headers...)
		if got := answer(f, x); got != c.want {
			t.Errorf("%s, %d headers: %q, want %q", c.requirement, len(c.headers), got, c.want)
		}
	}
}

func TestFailedStatus(t *testing.T) {
	f := newFilter(t, strings.Replace(twoProviders, "REQUIREMENT", "{provider_name: a}", 1), Options{})
	x := get("/", bearer(token("one", `{"iss":"i","exp":1}`)))
	answer(f, x)
	m, _ := x.Metadata[Namespace]["failed"].(map[string]any)
	if m["message"] != "Jwt is expired" || m["code"] != json.Number("3") {
		t.Errorf("%v", x.Metadata)
	}
}

func TestRules(t *testing.T) {
	f := newFilter(t, `
providers: {p: {issuer: i, local_jwks: {inline_string: JWKS_one}}}
requirement_map: {r: {provider_name: p}}
rules:
- match: {prefix: /open}
- match: {path: /exact}
  requires: {provider_name: p}
- match: {safe_regex: {regex: "/v[0-9]+/.*"}}
  requirement_name: r
- match: {prefix: /h, headers: [{name: x-y, string_match: {suffix: z}}]}
  requires: {provider_name: p}
`, Options{})
	for _, c := range []struct {
		path   string
		header string
		want   string
	}{
		{"/open/x", "a: b", "OK"}, {"/exact", "a: b", "Jwt is missing"}, {"/exact?x", "a: b", "Jwt is missing"}, {"/exact/", "a: b", "OK"},
		{"/v1/x", "a: b", "Jwt is missing"}, {"/v/x", "a: b", "OK"}, {"/x/v1/x", "a: b", "OK"},
		{"/h", "x-y: z", "Jwt is missing"}, {"/h", "x-y: q", "OK"}, {"/none", "a: b", "OK"},
	} {
		if got := answer(f, get(c.path, c.header)); got != c.want {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}
