package jwt

import (
	"encoding/base64"
	"slices"
	"strings"
)

// keyVariable is the environment variable that holds a key set.
const keyVariable = "USHER_CONFORMANCE_JWKS"

// keyCases ask for every algorithm with key sets of every kind.
func (s *suite) keyCases() {
	all := []map[string]any{named("rsa"), named("p256"), named("p384"), named("p521"), named("oct"), named("ed")}
	sets := map[string]string{
		"full":    set(all...),
		"nokid":   set(named("rsa", "kid", nil), named("p256", "kid", nil), named("p384", "kid", nil), named("p521", "kid", nil), named("oct", "kid", nil), named("ed", "kid", nil)),
		"alg":     set(named("rsa", "alg", "RS256"), named("p256", "alg", "ES256"), named("p384", "alg", "ES384"), named("p521", "alg", "ES512"), named("oct", "alg", "HS256"), named("ed", "alg", "EdDSA")),
		"badalg":  set(named("rsa", "alg", "PS512"), named("p256", "alg", "ES384"), named("oct", "alg", "HS512")),
		"use":     set(named("rsa", "use", "sig", "key_ops", []string{"verify"}), named("p256", "use", "sig"), named("ed", "key_ops", []string{"verify"})),
		"foreign": set(named("other-rsa"), named("other-p256"), named("other-ed"), named("other-oct")),
		"rsa":     set(named("rsa")),
		"p256":    set(named("p256")),
		"ed":      set(named("ed")),
		"oct":     set(named("oct")),
	}
	w := s.add(&world{name: "keys", provider: map[string]object{}, require: map[string]object{}})
	for name, text := range sorted(sets) {
		w.provider[name] = object{"local_jwks": inline(text), "forward": name == "full"}
		w.require[name] = only(name)
	}
	for name, source := range sorted(map[string]object{"file": {"filename": s.keyFile}, "env": {"environment_variable": keyVariable}, "bytes": {"inline_bytes": base64.StdEncoding.EncodeToString([]byte(goodKeys()))}}) {
		w.provider[name], w.require[name] = object{"local_jwks": source}, only(name)
		for _, alg := range algorithms {
			s.get(w, name+" "+alg, "/r/"+name+"/", "authorization", "Bearer "+jwt(alg, good)).alg = alg
			s.get(w, name+" "+alg+" spoilt", "/r/"+name+"/", "authorization", "Bearer "+spoil(jwt(alg, good), 2)).alg = alg
		}
	}
	for name := range sorted(sets) {
		for _, alg := range algorithms {
			s.algorithmCases(w, name, alg)
		}
	}
	s.weakKeyCases(w)
	// The header says one algorithm, the signature is of another.
	for _, says := range append([]string{"none", "None", "rs256", "HS257", "ES256K", "RS1", ""}, algorithms...) {
		for _, does := range algorithms {
			s.miscalled(w, "full", says, does)
			s.miscalled(w, "nokid", says, does)
		}
	}
}

// weakKeyCases have keys in their set that are not fit for verifying.
func (s *suite) weakKeyCases(w *world) {
	for name, weak := range sorted(map[string]map[string]any{
		"short": named("weak-rsa"), "enc": named("rsa", "use", "enc"), "encrypts": named("rsa", "key_ops", []string{"encrypt"}), "even": named("rsa", "e", "AQAA"), "nocrv": named("p256", "crv", nil),
	}) {
		w.provider[name], w.require[name] = object{"local_jwks": inline(set(weak, named("ed")))}, only(name)
		ask := func(alg, key string) *request {
			return s.get(w, name+" "+alg, "/r/"+name+"/", "authorization", "Bearer "+token{alg: alg, key: key, claims: good}.String())
		}
		const noKey = "Jwks doesn't have key to match kid or alg from Jwt"
		ask("EdDSA", "ed")
		if r := ask("ES256", "p256"); name == "nocrv" {
			r.refuse(weakKeys, noKey)
		}
		for _, alg := range []string{"RS256", "RS384", "PS256"} {
			if r := ask(alg, "rsa"); name == "enc" || name == "encrypts" {
				r.refuse(weakKeys, noKey)
			}
			if r := ask(alg, "weak-rsa"); name == "short" {
				r.refuse(weakKeys, noKey)
			}
		}
	}
}

// miscalled says one algorithm in the header and signs by another.
func (s *suite) miscalled(w *world, set, says, does string) {
	t := token{alg: does, claims: good, header: `{"alg":"` + says + `","kid":"` + keyOf(does) + `"}`}
	r := s.get(w, does+" called "+says, "/r/"+set+"/", "authorization", "Bearer "+t.String())
	r.alg = says
	if !slices.Contains(algorithms, says) || named(keyOf(says))["kty"] == named(keyOf(does))["kty"] {
		return
	}
	switch does {
	case "HS256", "ES256", "EdDSA": // what Envoy takes a key of that type for
		text := "Jwt verification fails"
		if says == "EdDSA" && set == "nokid" && does == "HS256" {
			text = wrongLength
		}
		r.refuse(boundAlg, text)
	}
}

// wrongLength is what Envoy says of every signature that it holds against an
// Ed25519 key, unless it has 64 bytes; usher only of those whose alg is EdDSA.
const wrongLength = "Jwt ED25519 signature is wrong length"

// algorithmCases try one algorithm with one set.
func (s *suite) algorithmCases(w *world, set, alg string) {
	path := "/r/" + set + "/"
	tok := jwt(alg, good)
	ask := func(what, tok string) {
		s.get(w, set+" "+alg+" "+what, path, "authorization", "Bearer "+tok).alg = alg
	}
	ask("good", tok)
	for _, kid := range []string{`"nobody"`, `""`, `"` + keyOf(alg) + ` "`, `"other-rsa"`} {
		ask("kid "+kid, token{alg: alg, claims: good, header: `{"alg":"` + alg + `","kid":` + kid + `}`}.String())
	}
	ask("no kid", token{alg: alg, claims: good, header: `{"alg":"` + alg + `"}`}.String())
	for i, section := range []string{"header", "payload", "signature"} {
		ask(section+" spoilt", spoil(tok, i))
	}
	cut := strings.LastIndexByte(tok, '.')
	ask("no signature", tok[:cut+1])
	ask("two sections", tok[:cut])
	ask("short signature", tok[:cut+9])
	ask("long signature", tok+"AAAA")
	ask("other payload", tok[:strings.IndexByte(tok, '.')]+"."+b64([]byte(`{"iss":"i","sub":"root"}`))+tok[cut:])
	for _, other := range []string{"other-rsa", "other-p256", "other-ed", "other-oct"} {
		if fits(other, alg) {
			ask("by another key", token{alg: alg, key: other, claims: good, header: `{"alg":"` + alg + `","kid":"` + keyOf(alg) + `"}`}.String())
			ask("by another key without kid", token{alg: alg, key: other, claims: good, header: `{"alg":"` + alg + `"}`}.String())
			if set == "foreign" && (alg == "HS256" || alg == "HS384") {
				r := s.requests[len(s.requests)-1]
				r.as(everyKey, "", "authorization", "Bearer "+token{alg: "RS256", key: "other-rsa", claims: good}.String())
			}
		}
	}
}

// fits tells whether a key can sign by an algorithm.
func fits(key, alg string) bool {
	switch key {
	case "other-rsa":
		return alg[0] == 'R' || alg[0] == 'P'
	case "other-p256":
		return alg == "ES256"
	case "other-ed":
		return alg == "EdDSA"
	}
	return alg[0] == 'H'
}
