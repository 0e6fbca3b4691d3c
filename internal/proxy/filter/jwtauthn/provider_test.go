package jwtauthn

import (
	"strings"
	"testing"
	"time"
)

func TestProviderChecks(t *testing.T) {
	const text = `
providers: {p: {local_jwks: {inline_string: JWKS_one}, EXTRA}}
rules: [{match: {prefix: /}, requires: {provider_name: p}}]
`
	const fails = "Jwt verification fails"
	for _, c := range []struct{ extra, claims, want string }{
		{"forward: true", `{"iss":"anybody"}`, "OK"},
		{"forward: true", `{}`, "OK"},
		{"issuer: i", `{}`, "Jwt issuer is not configured"},
		{"require_expiration: true", `{}`, fails},
		{"require_expiration: true", `{"exp":1700000001}`, "OK"},
		{"max_lifetime: 60s", `{}`, fails},
		{"max_lifetime: 60s", `{"exp":1700000060}`, "OK"},
		{"max_lifetime: 60s", `{"exp":1700000061}`, fails},
		{"subjects: {prefix: a}", `{"sub":"ab"}`, "OK"},
		{"subjects: {prefix: a}", `{"sub":"b"}`, fails},
		{"subjects: {prefix: a}", `{}`, fails},
		{"audiences: [q], subjects: {prefix: a}, max_lifetime: 60s", `{"sub":"b"}`, "Audiences in Jwt are not allowed"},
		{"clock_skew_seconds: 5", `{"exp":1699999995}`, "OK"},
		{"clock_skew_seconds: 5", `{"exp":1699999994}`, "Jwt is expired"},
		{"clock_skew_seconds: 0", `{"exp":1699999940}`, "OK"},
	} {
		f := newFilter(t, strings.Replace(text, "EXTRA", c.extra, 1), Options{})
		if got := answer(f, get("/", bearer(token("one", c.claims)))); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.extra, c.claims, got, c.want)
		}
	}
}

func TestProviderWithoutKeys(t *testing.T) {
	f := newFilter(t, `
providers: {p: {issuer: i}}
rules: [{match: {prefix: /}, requires: {provider_name: p}}]`, Options{})
	if got := answer(f, get("/", bearer(token("one", `{"iss":"i"}`)))); got != "Jwks doesn't have any valid public key" {
		t.Error(got)
	}
}

const remote = `
providers:
  p:
    issuer: i
    remote_jwks: {http_uri: {uri: "https://usher-jwks-mirror/jwks/x", cluster: usher-jwks-mirror, timeout: 5s}}
    jwt_cache_config: {jwt_cache_size: 100}
rules: [{match: {prefix: /}, requires: {provider_name: p}}]
`

func TestRemoteKeys(t *testing.T) {
	keys := &fakeKeys{}
	f := newFilter(t, remote, Options{Fetch: keys})
	if len(keys.want) != 1 || keys.want[0].Cluster != "usher-jwks-mirror" || keys.want[0].Timeout != 5*time.Second {
		t.Errorf("announced %v", keys.want)
	}
	one, rotated := token("one", `{"iss":"i"}`), token("rotated", `{"iss":"i"}`)
	expect := func(what, tok, want string) {
		t.Helper()
		if got := answer(f, get("/", bearer(tok))); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("no keys", one, "Jwks remote fetch is failed")
	keys.set = testKeys()["one"].set(t)
	expect("keys are there", one, "OK")
	expect("from the cache", one, "OK")
	expect("kid that nobody has", rotated, "Jwks doesn't have key to match kid or alg from Jwt")
	keys.next = testKeys()["rotated"].set(t)
	expect("rotated: the first request passes", rotated, "OK")
	expect("the old key is gone, the cache forgets", one, "Jwks doesn't have key to match kid or alg from Jwt")
	keys.mu.Lock()
	keys.set, keys.next = nil, nil
	keys.mu.Unlock()
	expect("keys are gone altogether", rotated, "Jwks remote fetch is failed")
}

// A token in the cache is refused when its time has come.
func TestCacheAndTime(t *testing.T) {
	now := testNow
	f := newFilter(t, strings.Replace(basic, "audiences: [a]", "jwt_cache_config: {}", 1), Options{Now: func() time.Time { return now }})
	tok := token("one", `{"iss":"i","exp":1700000100}`)
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, "OK"}, {time.Minute, "OK"}, {160 * time.Second, "OK"}, {161 * time.Second, "Jwt is expired"}} {
		now = testNow.Add(c.after)
		if got := answer(f, get("/", bearer(tok))); got != c.want {
			t.Errorf("after %v: %q, want %q", c.after, got, c.want)
		}
	}
}

func BenchmarkDecodeCached(b *testing.B) {
	f := newFilter(b, strings.Replace(basic, "audiences: [a]", "jwt_cache_config: {}, forward: true, payload_in_metadata: payload", 1), Options{})
	x := get("/", bearer(token("one", `{"iss":"i"}`)))
	fresh := *x
	b.ReportAllocs()
	for b.Loop() {
		*x = fresh
		if !f.Decode(x) {
			b.Fatal("refused")
		}
	}
}
