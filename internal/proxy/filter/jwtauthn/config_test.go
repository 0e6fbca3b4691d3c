package jwtauthn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRefusedConfigurations(t *testing.T) {
	provider := func(p string) string { return "providers: {p: {local_jwks: {inline_string: JWKS_one}, " + p + "}}" }
	keys := func(p string) string {
		return "providers: {p: {remote_jwks: {http_uri: {uri: https://i/, cluster: c, timeout: 1s}, " + p + "}}}"
	}
	for _, c := range []struct{ text, want string }{
		{`filter_state_rules: {}`, "filter_state_rules.name: empty"},
		{`filter_state_rules: {name: x, requires: {k: {provider_name: q}}}`, `filter_state_rules.requires["k"].provider_name: Required provider ['q'] is not configured.`},
		{`providers: {p: {local_jwks: {inline_string: "x"}}}`, `providers["p"].local_jwks: Provider 'p' in jwt_authn config has invalid local jwks: Jwks is an invalid JSON`},
		{`providers: {p: {local_jwks: {environment_variable: USHER_TEST_NO_SUCH}}}`, `providers["p"].local_jwks.environment_variable: USHER_TEST_NO_SUCH is not set`},
		{`providers: {p: {local_jwks: {filename: /does/not/exist}}}`, `providers["p"].local_jwks.filename: `},
		{`providers: {p: {local_jwks: {filename: /dev/zero}}}`, `providers["p"].local_jwks.filename: /dev/zero: not a regular file`},
		{`providers: {p: {local_jwks: {filename: /x, watched_directory: {path: /}}}}`, `providers["p"].local_jwks.watched_directory: not supported`},
		{`providers: {p: {local_jwks: {}}}`, `providers["p"].local_jwks.specifier: missing`},
		{remote, `providers["p"].remote_jwks: this proxy fetches no keys`},
		{provider(`from_headers: [{name: "a b"}]`), `providers["p"].from_headers[0].name: "a b" is not a header name`},
		{provider(`from_params: [""]`), `providers["p"].from_params[0]: empty`},
		{provider(`from_cookies: [""]`), `providers["p"].from_cookies[0]: empty`},
		{provider(`subjects: {}`), `providers["p"].subjects.match_pattern: missing`},
		{provider(`max_lifetime: 0s`), `providers["p"].max_lifetime: must be more than 0`},
		{provider(`claim_to_headers: [{header_name: x}]`), `providers["p"].claim_to_headers[0].claim_name: exactly one`},
		{provider(`claim_to_headers: [{header_name: x, claim_name: a, claim_path: [{key: a}]}]`), `providers["p"].claim_to_headers[0].claim_name: exactly one`},
		{provider(`claim_to_headers: [{header_name: x, claim_path: [{}]}]`), `providers["p"].claim_to_headers[0].claim_path[0].key: empty`},
		{provider(`forward_payload_header: "x:y"`), `providers["p"].forward_payload_header: "x:y" is not a header name`},
		{`rules: [{requires: {}}]`, `rules[0].match: missing`},
		{`rules: [{match: {prefix: /}, requires: {provider_name: q}}]`, `rules[0].requires.provider_name: Required provider ['q'] is not configured.`},
		{`rules: [{match: {prefix: /}, requirement_name: q}]`, `rules[0].requirement_name: Wrong requirement_name: q. It should be one of []`},
		{`rules: [{match: {prefix: /, grpc: {}}}]`, `rules[0].match.grpc: not supported`},
		{`rules: [{match: {prefix: /, cookies: [{name: c}]}}]`, `rules[0].match.cookies: not supported`},
		{`rules: [{match: {prefix: /, runtime_fraction: {default_value: {numerator: 1}}}}]`, `rules[0].match.runtime_fraction: not supported`},
		{`requirement_map: {m: {requires_any: {requirements: [{provider_name: q}, {}]}}}`, `requirement_map["m"].requires_any.requirements[0].provider_name: Required`},
		{`requirement_map: {m: {requires_any: {requirements: [{}]}}}`, `requirement_map["m"].requires_any.requirements: 1 given, want two at least`},
		{`requirement_map: {m: {requires_all: {}}}`, `requirement_map["m"].requires_all.requirements: 0 given, want two at least`},
		{`requirement_map: {m: {extract_only_without_validation: {}}}`, `requirement_map["m"].extract_only_without_validation: not supported`},
	} {
		_, err := tryFilter(t, c.text, Options{}, "")
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{`retry_policy: {retry_on: "5xx"}`, `retry_policy.retry_on: not supported`},
		{`retry_policy: {retry_back_off: {base_interval: 0s}}`, `retry_policy.retry_back_off.base_interval: less than 1ms`},
		{`retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}`, `retry_policy.retry_back_off.max_interval: less than base_interval`},
		{`cache_duration: -1s`, `cache_duration: not a duration`},
		{`cache_duration: 0s`, `cache_duration: less than 1ms`},
		{`retry_policy: {retry_back_off: {}}`, `retry_policy.retry_back_off.base_interval: less than 1ms`},
		{`async_fetch: {failed_refetch_duration: -1s}`, `async_fetch.failed_refetch_duration: not a duration`},
	} {
		_, err := tryFilter(t, keys(c.text), Options{Fetch: &fakeKeys{}}, "")
		if want := `providers["p"].remote_jwks.` + c.want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, want)
		}
	}
	if _, err := tryFilter(t, keys(`cache_duration: 5s, async_fetch: {fast_listener: true, failed_refetch_duration: 1s}, retry_policy: {num_retries: 3, retry_back_off: {base_interval: 0.01s, max_interval: 20s}}`),
		Options{Fetch: &fakeKeys{}}, ""); err != nil {
		t.Error(err)
	}
}

// A key set is found wherever a DataSource may hold it.
func TestLocalKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(testKeys()["one"].jwks()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("USHER_TEST_JWKS", testKeys()["one"].jwks())
	for _, source := range []string{"inline_string: JWKS_one", "filename: " + file, "environment_variable: USHER_TEST_JWKS"} {
		f := newFilter(t, `{providers: {p: {local_jwks: {`+source+`}}}, rules: [{match: {prefix: /}, requires: {provider_name: p}}]}`, Options{})
		if got := answer(f, get("/", bearer(token("one", `{}`)))); got != "OK" {
			t.Errorf("%s: %s", source, got)
		}
	}
}

// The filter state picks a requirement where no rule matches.
func TestFilterState(t *testing.T) {
	f := newFilter(t, `
providers: {p: {issuer: i, local_jwks: {inline_string: JWKS_one}}}
rules: [{match: {prefix: /open}}]
filter_state_rules: {name: tenant, requires: {blue: {provider_name: p}, green: {}}}
`, Options{})
	for _, c := range []struct{ path, tenant, want string }{
		{"/", "blue", "Jwt is missing"}, {"/", "green", "OK"}, {"/", "red", "OK"}, {"/", "", "OK"}, {"/open", "blue", "OK"},
	} {
		x := get(c.path)
		x.SetFilterState("tenant", c.tenant)
		if got := answer(f, x); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.path, c.tenant, got, c.want)
		}
	}
	if got := answer(f, get("/")); got != "OK" {
		t.Error(got)
	}
}

// async_fetch and retry_policy mean what they mean in Envoy.
func TestRemoteFetch(t *testing.T) {
	for text, want := range map[string]Source{
		``:                    {},
		`cache_duration: 60s`: {CacheDuration: time.Minute},
		`async_fetch: {}`:     {Wait: true, Refetch: time.Second},
		`async_fetch: {fast_listener: true, failed_refetch_duration: 3s}`: {Refetch: 3 * time.Second},
		`retry_policy: {}`:               {Retries: 1, BackOff: time.Second, MaxBackOff: 10 * time.Second},
		`retry_policy: {num_retries: 0}`: {BackOff: time.Second, MaxBackOff: 10 * time.Second},
		`retry_policy: {num_retries: 4000000000, retry_back_off: {base_interval: 0.01s}}`: {
			Retries: maxRetries, BackOff: 10 * time.Millisecond, MaxBackOff: 100 * time.Millisecond,
		},
		`retry_policy: {num_retries: 10, retry_back_off: {base_interval: 0.01s, max_interval: 20s}}`: {
			Retries: 10, BackOff: 10 * time.Millisecond, MaxBackOff: 20 * time.Second,
		},
	} {
		k := &fakeKeys{}
		if _, err := tryFilter(t, "providers: {p: {remote_jwks: {http_uri: {uri: https://i/, cluster: c, timeout: 1s}, "+text+"}}}", Options{Fetch: k}, ""); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want.Cluster, want.URI, want.Timeout = "c", "https://i/", time.Second
		if len(k.want) != 1 || k.want[0] != want {
			t.Errorf("%s:\n got %+v\nwant %+v", text, k.want, want)
		}
	}
}
