package jwtauthn

import (
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

// By itself allow_missing is about the places of all providers; the token's issuer
// tells who judges it.
func TestAllowByItself(t *testing.T) {
	const text = `
providers:
  a: {issuer: i, local_jwks: {inline_string: JWKS_one}, from_headers: [{name: x-a}], claim_to_headers: [{header_name: x-sub-a, claim_name: sub}]}
  b: {issuer: j, local_jwks: {inline_string: JWKS_two}, from_headers: [{name: x-b}]}
  any: {local_jwks: {inline_string: JWKS_one}, from_params: [t], claim_to_headers: [{header_name: x-sub, claim_name: sub}]}
rules: [{match: {prefix: /}, requires: REQUIREMENT}]
`
	ta, tb, expired := token("one", `{"iss":"i","sub":"s"}`), token("two", `{"iss":"j"}`), token("one", `{"iss":"i","exp":1}`)
	const unknown, old, missing = "Jwt issuer is not configured", "Jwt is expired", "Jwt is missing"
	for _, c := range []struct {
		requirement, path string
		headers           []string
		want, header      string
	}{
		{`{allow_missing: {}}`, "/", nil, "OK", ""},
		{`{allow_missing: {}}`, "/", []string{"x-a: " + ta, "x-b: " + tb}, "OK", "x-sub-a"},
		{`{allow_missing: {}}`, "/?t=" + ta, nil, "OK", "x-sub-a"}, // a's token where nobody asks for an issuer
		{`{allow_missing: {}}`, "/?t=" + token("one", `{"iss":"else","sub":"s"}`), nil, "OK", "x-sub"},
		{`{allow_missing: {}}`, "/", []string{"x-b: " + ta}, unknown, ""},
		{`{allow_missing: {}}`, "/", []string{"x-a: " + expired}, old, ""},
		{`{allow_missing: {}}`, "/?t=" + expired, []string{"x-a: " + ta}, old, ""},
		{`{allow_missing_or_failed: {}}`, "/?t=" + expired, []string{"x-a: " + ta}, "OK", "x-sub-a"},
		{`{requires_any: {requirements: [{allow_missing: {}}, {allow_missing_or_failed: {}}]}}`, "/", []string{"x-a: x"}, "OK", ""},
		{`{requires_all: {requirements: [{allow_missing: {}}, {provider_name: b}]}}`, "/?t=" + expired, []string{"x-a: " + ta}, missing, ""},
		{`{requires_all: {requirements: [{allow_missing: {}}, {provider_name: b}]}}`, "/", []string{"x-a: " + ta, "x-b: " + tb}, missing, ""}, // taken by the first
	} {
		f := newFilter(t, strings.Replace(text, "REQUIREMENT", c.requirement, 1), Options{})
		x := get(c.path, c.headers...)
		if got := answer(f, x); got != c.want {
			t.Errorf("%s %d headers: %q, want %q", c.requirement, len(c.headers), got, c.want)
		}
		if c.header != "" && x.Request.Header.Get(c.header) == "" {
			t.Errorf("%s: %s is not written: %v", c.requirement, c.header, x.Request.Header.Fields())
		}
	}
}

// What failed alternatives have let through counts no more, and what a provider
// wrote goes when it is asked again and finds nothing.
func TestAlternatives(t *testing.T) {
	const text = `
providers:
  a: {issuer: i, local_jwks: {inline_string: JWKS_one}, from_headers: [{name: x-a}], claim_to_headers: [{header_name: x-sub-a, claim_name: sub}], payload_in_metadata: a}
  b: {issuer: j, local_jwks: {inline_string: JWKS_two}, from_headers: [{name: x-b}]}
  c: {issuer: i, local_jwks: {inline_string: JWKS_one}, from_headers: [{name: x-c}]}
rules: [{match: {prefix: /}, requires: {requires_any: {requirements: [
  {requires_all: {requirements: [{requires_any: {requirements: [{provider_name: a}, {provider_name: b}, {allow_missing: {}}]}}, {provider_name: a}]}},
  {provider_name: c}]}}}]
`
	f := newFilter(t, text, Options{})
	ta := token("one", `{"iss":"i","sub":"s"}`)
	x := get("/", "x-a: "+ta, "x-b: x", "x-c: "+ta)
	if got := answer(f, x); got != "OK" {
		t.Errorf("%q", got)
	}
	if v, ok := x.Request.Header.Lookup("x-sub-a"); ok {
		t.Errorf("x-sub-a: %s", v)
	}
	x = get("/", "x-a: "+ta, "x-b: x")
	if got := answer(f, x); got != "Jwt is missing" {
		t.Errorf("%q", got)
	}
	if x.Metadata[Namespace]["a"] == nil {
		t.Error("what a good token says is not told of a request that is refused")
	}
}

func TestFailedStatus(t *testing.T) {
	f := newFilter(t, strings.Replace(twoProviders, "REQUIREMENT", "{provider_name: a}", 1), Options{})
	x := get("/", bearer(token("one", `{"iss":"i","exp":1}`)))
	answer(f, x)
	m := x.Metadata[Namespace]["failed"]
	if m.JSON() != `{"code":3,"message":"Jwt is expired"}` {
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
