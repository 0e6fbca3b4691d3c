package jwtauthn

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// fuzzKey is the same in every run, so that what was found once is found again.
var fuzzKey = issuerKey{"fuzz", ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, fixed"[:32]))}

// fuzzSigned are all tokens that there are.
func fuzzSigned() []string {
	var out []string
	for _, claims := range []string{`{"iss":"i"}`, `{"iss":"i","aud":"a","sub":"s","n":1.5,"l":["x",{"y":null}]}`, `{"iss":"j","sub":"a\r\nb"}`} {
		e := base64.RawURLEncoding.EncodeToString
		input := e([]byte(`{"alg":"EdDSA","kid":"fuzz"}`)) + "." + e([]byte(claims))
		out = append(out, input+"."+e(ed25519.Sign(fuzzKey.private, []byte(input))))
	}
	return out
}

// fuzzFilters ask for a token in every way that there is.
const fuzzFilters = `
providers:
  usual: {issuer: i, local_jwks: {inline_string: JWKS_fuzz}, jwt_cache_config: {}}
  places:
    local_jwks: {inline_string: JWKS_fuzz}
    from_headers: [{name: x-token}, {name: authorization, value_prefix: "Bearer "}, {name: x-token, value_prefix: "t="}]
    from_params: [jwt, "a b"]
    from_cookies: [session]
    forward_payload_header: x-payload
    pad_forward_payload_header: true
    claim_to_headers: [{header_name: x-sub, claim_name: sub}, {header_name: x-n, claim_name: "n"}, {header_name: x-l, claim_name: l}, {header_name: x-y, claim_path: [{key: l}]}]
    payload_in_metadata: payload
    header_in_metadata: header
    failed_status_in_metadata: failed
    normalize_payload_in_metadata: {space_delimited_claims: [sub]}
  kept: {issuer: i, audiences: [a], local_jwks: {inline_string: JWKS_fuzz}, forward: true, from_params: [jwt], from_cookies: [session]}
requirement_map:
  all: {requires_all: {requirements: [{provider_name: usual}, {provider_name: places}]}}
rules:
- {match: {prefix: /all}, requirement_name: all}
- match: {prefix: /any}
  requires: {requires_any: {requirements: [{provider_name: usual}, {provider_name: places}, {provider_and_audiences: {provider_name: kept, audiences: [b, a]}}]}}
- {match: {prefix: /places}, requires: {provider_name: places}}
- {match: {prefix: /kept}, requires: {provider_name: kept}}
- match: {prefix: /optional}
  requires: {requires_any: {requirements: [{provider_name: places}, {provider_name: kept}, {allow_missing: {}}]}}
- {match: {prefix: /missing}, requires: {allow_missing: {}}}
- {match: {prefix: /failed}, requires: {allow_missing_or_failed: {}}}
- {match: {prefix: /}, requires: {provider_name: usual}}
`

// FuzzFilter sends any header, path and cookie. A request that needs a token passes
// only with one that was signed, byte for byte; none makes the filter panic, write a
// header that is none, or show a token.
func FuzzFilter(f *testing.F) {
	signed := fuzzSigned()
	for _, p := range []string{"/", "/all", "/any", "/places", "/kept", "/optional", "/missing", "/failed"} {
		for _, s := range signed {
			f.Add(p, "", "Bearer "+s, "", "")
			f.Add(p, "jwt="+s, "bearer "+s, s, "session="+s)
			f.Add(p, "access_token="+strings.ReplaceAll(s, ".", "%2e")+"&a+b="+s, "", "t="+s, `a=b; session="`+s+`"; session=x`)
			f.Add(p, "a%20b="+s+"&jwt=", "Basic x", s[:len(s)-1], "session=; session="+s)
			f.Add(p, "&&=&jwt", "Bearer "+s+"=", "t="+strings.ToUpper(s), "session")
		}
	}
	filter, err := tryFilter(f, strings.ReplaceAll(fuzzFilters, "JWKS_fuzz", quoteJSON(fuzzKey.jwks())), Options{}, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query, authorization, xToken, cookie string) {
		full := path
		if query != "" {
			full += "?" + query
		}
		x := get(full)
		presented := query + " " + authorization + " " + xToken + " " + cookie
		for name, v := range map[string]string{"authorization": authorization, "x-token": xToken, "cookie": cookie} {
			if v != "" {
				x.Request.Header.Add(name, v)
			}
		}
		before := slices.Clone(x.Request.Header.Fields())
		if filter.Decode(x) {
			if needsToken(path) && !holds(presented, signed) {
				t.Fatalf("passes without a token that was signed: %q %q %q %q", full, authorization, xToken, cookie)
			}
			checkWritten(t, before, x)
			return
		}
		body, _ := x.Local()
		shown := body + x.Details + x.Response.Header.Get("www-authenticate")
		for _, s := range signed {
			if sig := s[strings.LastIndexByte(s, '.')+1:]; strings.Contains(shown, sig) && !strings.Contains(path, sig) {
				t.Fatalf("a signature is shown: %q", shown)
			}
		}
	})
}

// needsToken tells whether nothing passes there without one.
func needsToken(path string) bool {
	for _, p := range []string{"/optional", "/missing", "/failed"} {
		if strings.HasPrefix(path, p) {
			return false
		}
	}
	return strings.HasPrefix(path, "/")
}

// holds looks for a signed token in what was sent, as it is or percent-encoded.
func holds(presented string, signed []string) bool {
	decoded, err := url.PathUnescape(presented)
	if err != nil { // a broken escape elsewhere
		decoded = unescapeAll(presented)
	}
	return slices.ContainsFunc(signed, func(s string) bool { return strings.Contains(presented, s) || strings.Contains(decoded, s) })
}

// unescapeAll decodes the escapes that are good.
func unescapeAll(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil && s[i] == '%' {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// checkWritten wants the fields that the filter added to be fit for a request.
func checkWritten(t *testing.T, before []exchange.Field, x *exchange.Exchange) {
	for _, h := range x.Request.Header.Fields() {
		if slices.Contains(before, h) {
			continue
		}
		if !fieldValue(h.Value) || h.Name != strings.ToLower(h.Name) {
			t.Fatalf("writes %q: %q", h.Name, h.Value)
		}
	}
}
