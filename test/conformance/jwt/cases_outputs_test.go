package jwt

import (
	"fmt"
	"strings"
)

// outputCases look at what a good token puts into headers and metadata.
func (s *suite) outputCases() {
	claim := func(header, name string) object { return object{"header_name": header, "claim_name": name} }
	path := func(header string, keys ...string) object {
		l := list{}
		for _, k := range keys {
			l = append(l, object{"key": k})
		}
		return object{"header_name": header, "claim_path": l}
	}
	p := func(more object) object {
		m := object{"local_jwks": inline(set(named("ed"))), "forward": true}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	w := s.add(&world{name: "outputs", provider: map[string]object{
		"one":     p(object{"claim_to_headers": list{claim("X-Claim", "c")}}),
		"many":    p(object{"claim_to_headers": list{claim("x-sub", "sub"), claim("x-iss", "iss"), claim("x-deep", "a.b.c"), claim("x-c", "c"), claim("x-again", "c"), claim("x-same", "sub"), claim("x-same", "iss")}}),
		"path":    p(object{"claim_to_headers": list{path("x-path", "a", "b", "c"), path("x-dots", "http://x.y/z"), path("x-c", "c")}}),
		"payload": p(object{"forward_payload_header": "X-Payload"}),
		"padded":  p(object{"forward_payload_header": "x-payload", "pad_forward_payload_header": true}),
		"meta":    p(object{"payload_in_metadata": "payload", "header_in_metadata": "header", "failed_status_in_metadata": "failed"}),
		"samekey": p(object{"payload_in_metadata": "same", "header_in_metadata": "same"}),
		"normal":  p(object{"payload_in_metadata": "payload", "normalize_payload_in_metadata": object{"space_delimited_claims": list{"scope", "c", "sub"}}}),
		"cached":  p(object{"jwt_cache_config": object{"jwt_cache_size": 1000}, "claim_to_headers": list{claim("x-c", "c")}, "payload_in_metadata": "payload", "forward_payload_header": "x-payload"}),
		"small":   p(object{"jwt_cache_config": object{"jwt_cache_size": 1, "jwt_max_token_size": 100}, "payload_in_metadata": "payload"}),
	}, require: map[string]object{}})
	for n := range sorted(w.provider) {
		w.require[n] = only(n)
	}
	spoof := []string{"x-claim", "spoofed", "x-sub", "spoofed", "X-C", "spoofed", "x-deep", "spoofed", "x-payload", "spoofed", "x-other", "kept"}
	ask := func(at, what, claims string) *request {
		name, value := bearer(jwt("EdDSA", claims))
		return s.get(w, at+" "+what, "/r/"+at+"/", append([]string{name, value}, spoof...)...)
	}
	for _, v := range []string{"", "null", `""`, `"x"`, `"x y"`, `" x "`, `"é"`, `"日本"`, `"x,y"`, `"\t"`, `"a\tb"`, "0", "1", "12345678901", "true", "false", `"true"`, `"\"q\""`} {
		for _, at := range []string{"one", "many", "path", "cached", "cached", "normal"} {
			ask(at, "c="+v, claims("c", v))
		}
	}
	s.claimExceptions(ask)
	for _, c := range []string{
		`{"sub":"s","iss":"i","a":{"b":{"c":"deep"}}}`, `{"a":{"b":{}}}`, `{"a":{"b":"x"}}`, `{"a":1}`, `{"a":null}`, `{"a":{"b":{"c":""}}}`, `{"http://x.y/z":"u"}`, `{"a":{"b":{"c":true}},"c":5}`, `{}`,
	} {
		for _, at := range []string{"many", "path", "payload", "padded", "meta", "normal"} {
			ask(at, c, c)
		}
	}
	for _, c := range []string{`"r w"`, `"r"`, `""`, `" r  w "`, `" "`, `"   "`, `["r","w"]`, "5", "null", `"r\tw"`, `"r,w"`, "{}"} {
		for _, at := range []string{"normal", "meta"} {
			ask(at, "scope="+c, claims("scope", c))
		}
	}
	// Payloads of every length, for the padding; numbers and text in metadata.
	for i := range 9 {
		for _, at := range []string{"payload", "padded", "meta", "samekey", "small", "small"} {
			ask(at, fmt.Sprint("length ", i), `{"x":"`+strings.Repeat("y", i)+`"}`)
		}
	}
	for _, tok := range []string{"", "x", jwt("EdDSA", claims("exp", "1")), spoil(jwt("EdDSA", good), 2), jwt("ES256", good), jwt("EdDSA", claims("nbf", unix(1e14))), jwt("EdDSA", claims("iat", `"x"`))} {
		for _, at := range []string{"meta", "many", "payload", "cached"} {
			s.get(w, at+" refused", "/r/"+at+"/", append([]string{"authorization", "Bearer " + tok}, spoof...)...)
			s.get(w, at+" refused", "/r/"+at+"/", spoof...)
		}
	}
}

// takenCases have a provider that writes where it reads: nothing is left to read.
func (s *suite) takenCases() {
	w := s.add(&world{name: "taken", provider: map[string]object{
		"p": {"local_jwks": inline(goodKeys()), "forward_payload_header": "authorization"},
		"q": {"local_jwks": inline(goodKeys()), "from_params": list{"jwt"}, "claim_to_headers": list{object{"header_name": "x-sub", "claim_name": "sub"}}},
	}, rules: list{object{"match": object{"prefix": "/q"}, "requires": only("q")}, object{"match": object{"prefix": "/any"}, "requires": anyOf(only("p"), only("q"))}, everywhere(only("p"))}})
	for _, alg := range algorithms {
		for _, path := range []string{"/", "/q", "/any", "/open"} {
			tok := jwt(alg, good)
			s.get(w, alg, path, "authorization", "Bearer "+tok, "x-sub", "spoofed")
			s.get(w, alg+" parameter", path+"?jwt="+tok, "authorization", "kept?", "x-sub", "spoofed")
			s.get(w, alg+" access_token", path+"?access_token="+tok, "x-sub", "spoofed")
		}
	}
}

// claimExceptions are claims that usher writes as JSON has them.
func (s *suite) claimExceptions(ask func(at, what, claims string) *request) {
	as := func(r *request, text string) {
		name, value := bearer(jwt("EdDSA", claims("c", text)))
		r.as(jsonClaims, "", append([]string{name, value}, strings.Split("x-claim,spoofed,x-other,kept", ",")...)...)
		r.auth = r.headers[0][1]
	}
	for v, text := range sorted(map[string]string{
		"-1": `"-1"`, "9007199254740993": `"9007199254740993"`, "1.0": `"1.0"`, "1.5": `"1.5"`, "-1.5": `"-1.5"`, "-0.5": `"-0.5"`, "1e3": `"1e3"`, "1.25e2": `"1.25e2"`, "1e300": `"1e300"`, "-5": `"-5"`, `[]`: `""`, `["x"]`: `"x"`, `["x",1,true]`: `"x,1,true"`, `{}`: `"{}"`,
		`{"y":[1,null]}`: `"{\"y\":[1,null]}"`, `[["x"],2]`: `"[[\"x\"],2]"`, `[null]`: `"[null]"`,
	}) {
		as(ask("one", "c="+v, claims("c", v)), text)
	}
}
