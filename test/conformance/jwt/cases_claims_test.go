package jwt

import (
	"fmt"
	"time"
)

// values are JSON values that a claim may have, most of them of a wrong type.
var values = []string{
	"", "null", `""`, `"i"`, `"a"`, `"s"`, `"https://a/"`, "0", "1", "-1", "-0", "1.5", "1e3", "1e19", "1e400", "18446744073709551615", "18446744073709551616",
	"9223372036854775807", "true", "false", "[]", `["a"]`, `["b","a"]`, `["b"]`, `["a",1]`, "[null]", "{}", `{"a":1}`, `"\u0069"`, `"i\u0000"`, `"é"`,
}

// claimCases try every registered claim with every value, at providers that judge
// more or less.
func (s *suite) claimCases() {
	provider := func(more object) object {
		m := object{"issuer": "i", "local_jwks": inline(set(named("ed"))), "forward": true, "payload_in_metadata": "payload"}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	w := s.add(&world{name: "claims", provider: map[string]object{
		"plain":     provider(nil),
		"anybody":   provider(object{"issuer": ""}),
		"audience":  provider(object{"audiences": list{"a", "https://other/"}}),
		"subject":   provider(object{"subjects": object{"exact": "s"}}),
		"subprefix": provider(object{"subjects": object{"prefix": "spiffe://x/"}}),
		"subsuffix": provider(object{"subjects": object{"suffix": "@x", "ignore_case": true}}),
		"subregex":  provider(object{"subjects": object{"safe_regex": object{"regex": "[a-z]+|x1"}}}),
		"subpart":   provider(object{"subjects": object{"contains": "b"}}),
		"needsexp":  provider(object{"require_expiration": true}),
		"lifetime":  provider(object{"max_lifetime": "3600s"}),
		"both":      provider(object{"max_lifetime": "7200s", "require_expiration": true}),
		"skew":      provider(object{"clock_skew_seconds": 7200}),
		"strict":    provider(object{"audiences": list{"a"}, "subjects": object{"exact": "s"}, "max_lifetime": "3600s", "clock_skew_seconds": 1800}),
	}, require: map[string]object{
		"narrower": {"provider_and_audiences": object{"provider_name": "audience", "audiences": list{"b", "http://c"}}},
	}})
	for name := range sorted(w.provider) {
		w.require[name] = only(name)
	}
	ask := func(at, what, claims string) *request {
		return s.get(w, at+" "+what, "/r/"+at+"/", "authorization", "Bearer "+jwt("EdDSA", claims))
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
		for _, v := range values {
			for _, at := range []string{"plain", "anybody", "strict"} {
				r := ask(at, name+" "+v, claims(name, v))
				switch {
				case name == "exp" && (v == "0" || v == "-0"):
					r.refuse(expiryOfZero, "Jwt is expired")
				case name == "exp" && at == "strict" && (v == "1e19" || v == "9223372036854775807"):
					r.refuse(farAway, "Jwt verification fails")
				}
			}
		}
	}
	s.timeCases(ask)
	for _, sub := range []string{"", `"s"`, `"S"`, `"spiffe://x/y"`, `"spiffe://x"`, `"u@x"`, `"u@X"`, `"x1"`, `"x12"`, `"abc"`, `"ABC"`, `""`} {
		for _, at := range []string{"subject", "subprefix", "subsuffix", "subregex", "subpart", "plain"} {
			ask(at, "sub "+sub, claims("sub", sub))
		}
	}
	for _, aud := range []string{"", `"a"`, `"a/"`, `"http://a"`, `"https://a/"`, `"https://a//"`, `"other"`, `"http://other"`, `"HTTPS://a"`, `"A"`, `"b"`, `"c/"`,
		`["x","a"]`, `["x","y"]`, `[]`, `["a","a"]`, `"a b"`, `" a"`, `""`, `["https://c"]`} {
		for _, at := range []string{"audience", "narrower", "plain"} {
			ask(at, "aud "+aud, claims("aud", aud))
		}
	}
}

// timeCases try times that are hours away from every limit.
func (s *suite) timeCases(ask func(at, what, claims string) *request) {
	for _, exp := range []time.Duration{-100 * time.Hour, -3 * time.Hour, -time.Hour, 20 * time.Minute, 100 * time.Minute, 3 * time.Hour, 1000 * time.Hour} {
		for _, at := range []string{"plain", "skew", "needsexp", "lifetime", "both", "strict"} {
			ask(at, fmt.Sprint("exp ", exp), claims("exp", unix(exp)))
		}
	}
	for _, nbf := range []time.Duration{-100 * time.Hour, -time.Hour, time.Hour, 3 * time.Hour} {
		for _, at := range []string{"plain", "skew", "strict"} {
			ask(at, fmt.Sprint("nbf ", nbf), claims("nbf", unix(nbf)))
			ask(at, fmt.Sprint("iat ", nbf), claims("iat", unix(nbf)))
		}
	}
	for _, at := range []string{"needsexp", "lifetime", "both", "skew"} {
		ask(at, "no exp", good)
		ask(at, "exp as text", claims("exp", `"`+unix(time.Hour)+`"`))
		ask(at, "exp with a fraction", claims("exp", unix(20*time.Minute)+".75"))
	}
}
