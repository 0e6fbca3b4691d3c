package jwt

import "strings"

// spelling is JSON text of a header or payload in an unusual spelling. Envoy's
// parser takes some that are no JSON.
type spelling struct {
	name, text string
	why        reason // Envoy takes it although usher does not
}

// jsonCases try how JSON is written, in the header and in the payload.
func (s *suite) jsonCases() {
	w := s.add(&world{name: "json", provider: map[string]object{
		"p": {"issuer": "i", "local_jwks": inline(set(named("ed"))), "payload_in_metadata": "payload", "header_in_metadata": "header"},
	}, rules: list{everywhere(only("p"))}})
	for _, sp := range spellings(`"alg":"EdDSA","kid":"ed"`) {
		t := token{alg: "EdDSA", header: sp.text, claims: good}
		r := s.get(w, "header "+sp.name, "/", "authorization", "Bearer "+t.String())
		if sp.why != "" {
			r.refuse(sp.why, "Jwt header is an invalid JSON")
		}
	}
	for _, sp := range spellings(`"iss":"i","sub":"s"`) {
		t := token{alg: "EdDSA", claims: sp.text}
		r := s.get(w, "payload "+sp.name, "/", "authorization", "Bearer "+t.String())
		if sp.why != "" {
			r.refuse(sp.why, "Jwt payload is an invalid JSON")
		}
	}
	for _, h := range []string{
		`{}`, `{"alg":1}`, `{"alg":null}`, `{"alg":["EdDSA"]}`, `{"alg":""}`, `{"Alg":"EdDSA"}`, `{"alg":"EdDSA","kid":1}`, `{"alg":"EdDSA","kid":null}`,
		`{"alg":"EdDSA","kid":["ed"]}`, `{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, `{"alg":"EdDSA","kid":"ed","typ":1}`, `{"alg":"EdDSA","kid":"ed","cty":"JWT"}`,
		`{"alg":"EdDSA","kid":"ed","b64":true}`, `{"alg":"EdDSA","kid":"ed","jku":"https://evil/"}`, `{"alg":"EdDSA","kid":"ed","jwk":{"kty":"OKP"}}`,
		`{"alg":"EdDSA","kid":"ed","x5c":["x"]}`, `{"alg":"EdDSA ","kid":"ed"}`, `{"alg":"EDDSA","kid":"ed"}`, `{"alg":"Ed25519","kid":"ed"}`, `{"alg":"none"}`,
		`{"alg":"\u0045dDSA","kid":"ed"}`, `{"\u0061lg":"EdDSA","kid":"ed"}`,
	} {
		s.get(w, "header "+h, "/", "authorization", "Bearer "+token{alg: "EdDSA", header: h, claims: good}.String())
	}
	for _, crit := range []string{`["exp"]`, `["b64"]`, `[]`, `null`, `"exp"`} {
		h := `{"alg":"EdDSA","kid":"ed","crit":` + crit + `}`
		s.get(w, "crit "+crit, "/", "authorization", "Bearer "+token{alg: "EdDSA", header: h, claims: good}.String()).
			refuse(critical, "Jwt header [crit] is not supported")
	}
	s.get(w, "b64", "/", "authorization", "Bearer "+token{alg: "EdDSA", header: `{"alg":"EdDSA","kid":"ed","b64":false}`, claims: good}.String()).
		refuse(unencoded, "Jwt header [crit] is not supported")
}

// spellings are objects with the members given.
func spellings(m string) []spelling {
	return []spelling{
		{"as it is", "{" + m + "}", ""},
		{"spaces", " \t\r\n{ " + strings.ReplaceAll(m, ",", " ,\n ") + " }\n", ""},
		{"unicode", "{" + m + `,"é":"日本語","e":"\u00e9\ud83d\ude00"}`, ""},
		{"escapes", "{" + m + `,"x":"\"\\\/\b\f\n\r\t"}`, ""},
		{"numbers", "{" + m + `,"x":[0,-0,1.5,-1e-7,1E+2,123456789012345678901234567890]}`, ""},
		{"nested", "{" + m + `,"x":{"y":[{"z":[[]]}]}}`, ""},
		{"empty name", "{" + m + `,"":1}`, ""},
		{"array", "[" + strings.ReplaceAll(m, `":`, `",`) + "]", ""},
		{"string", `"x"`, ""},
		{"number", "1", ""},
		{"null", "null", notObject},
		{"empty", "", ""},
		{"space", " ", ""},
		{"twice", "{" + m + "," + m + "}", ""},
		{"cut", "{" + m, ""},
		{"no comma", "{" + strings.Replace(m, ",", " ", 1) + "}", ""},
		{"no colon", "{" + strings.Replace(m, ":", " ", 1) + "}", ""},
		{"text behind", "{" + m + "}x", ""},
		{"object behind", "{" + m + "}{}", ""},
		{"bad escape", "{" + m + `,"x":"\q"}`, ""},
		{"half a pair", "{" + m + `,"x":"\ud83d"}`, ""},
		{"bad hex", "{" + m + `,"x":"\u12g4"}`, ""},
		{"bad UTF-8", "{" + m + ",\"x\":\"\xff\xfe\"}", ""},
		{"mark", "\ufeff{" + m + "}", ""},
		{"leading zero", "{" + m + `,"x":01}`, ""},
		{"plus", "{" + m + `,"x":+1}`, ""},
		{"bare point", "{" + m + `,"x":1.}`, ""},
		{"point first", "{" + m + `,"x":.5}`, ""},
		{"hex", "{" + m + `,"x":0x10}`, ""},
		{"NaN", "{" + m + `,"x":NaN}`, ""},
		{"huge number", "{" + m + `,"x":1e999}`, ""},
		{"True", "{" + m + `,"x":True}`, ""},
		{"comment", "{" + m + "/* x */}", ""},
		{"trailing comma", "{" + m + ",}", looseJSON},
		{"trailing comma in a list", "{" + m + `,"x":[1,]}`, looseJSON},
		{"single quotes", strings.ReplaceAll("{"+m+"}", `"`, `'`), looseJSON},
		{"bare names", "{" + m + ",x:1}", looseJSON},
		{"line break in text", "{" + m + ",\"x\":\"a\nb\"}", looseJSON},
		{"NUL in text", "{" + m + ",\"x\":\"a\x00b\"}", looseJSON},
		{"NUL behind", "{" + m + "}\x00", ""},
		{"deep", "{" + m + `,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + "}", ""},
		{"deeper", "{" + m + `,"x":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "}", tooDeep},
		{"very deep", "{" + m + `,"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}", ""},
	}
}
