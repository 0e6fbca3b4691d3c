package jose

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzVerify: whatever verifies is what somebody signed, byte for byte. Keys and
// signed texts are those of the sample and of the RFCs, so that every process that
// fuzzes has the same.
func FuzzVerify(f *testing.F) {
	keys := readKeySet(f).Keys()
	signed := map[string]bool{readFile(f, "valid.jwt"): true, readFile(f, "groups-scope.jwt"): true}
	f.Add(readFile(f, "invalid.jwt"))
	for _, x := range rfcExamples(f) {
		set, err := ParseKeySet(setJSON(f, x.Key))
		if err != nil {
			f.Fatal(err)
		}
		keys = append(keys, set.Keys()...)
		signed[x.JWS] = x.Want == "OK"
	}
	for text := range signed {
		f.Add(text)
	}
	for i, m := range mutations(readFile(f, "valid.jwt")) {
		if i%2001 == 0 {
			f.Add(m)
		}
	}
	set := NewKeySet(keys...)
	f.Fuzz(func(t *testing.T, text string) {
		j, err := ParseJWS(text, 0)
		if err != nil {
			if judge(set, text) == OK {
				t.Errorf("a JWT that is no JWS: %q", text)
			}
			return
		}
		_, err = set.VerifyJWS(j)
		if (err == nil) != signed[text] {
			t.Errorf("%v, and signed is %v: %q", err, signed[text], text)
		}
		if k := judge(set, text); k == OK && err != nil {
			t.Errorf("accepted as a JWT, as a JWS %v: %q", err, text)
		}
	})
}

// macToken signs header and payload, whatever they are, with a secret that every
// process has.
func macToken(t testing.TB, header, payload string) (*KeySet, string) {
	k := mustKey(t, "", "", secret("fuzz"))
	input := b64(header) + "." + b64(payload)
	m := (&signers{hmac: secret("fuzz")}).sign(t, algorithms["HS256"], input)
	return NewKeySet(k), input + "." + b64(string(m))
}

// FuzzHeader: a header that passes is JSON to encoding/json too, says HS256 to it,
// and has no extension that is critical.
func FuzzHeader(f *testing.F) {
	for _, h := range []string{goodHeader, `{"alg":"HS256","kid":"k","typ":"JWT"}`, `{"alg":"none"}`, `{"ALG":"none","alg":"HS256"}`,
		`{"alg":"HS256","alg":"none"}`, `{"alg":"HS256","crit":["exp"]}`, `{"alg":"HS256","b64":false}`, `{"alg":"HS256","b64":true}`,
		`{"\u0061lg":"HS256"}`, `{"alg":"HS256","kid":5}`, `{"alg":"HS256","x":[[[[]]]]}`, "\ufeff" + goodHeader, "{\"alg\":\"HS256\",\"a\":\"\xff\"}"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, header string) {
		keys, token := macToken(t, header, `{}`)
		if judge(keys, token) != OK {
			return
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(header), &m); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", header, err)
		}
		_, crit := m["crit"]
		if b64, ok := m["b64"]; m["alg"] != "HS256" || crit || ok && b64 != true {
			t.Errorf("%q is taken", header)
		}
		if kid, there := m["kid"]; there && reflect.TypeOf(kid) != reflect.TypeFor[string]() {
			t.Errorf("%q is taken", header)
		}
	})
}

// FuzzPayload: claims that pass mean the same to encoding/json.
func FuzzPayload(f *testing.F) {
	for _, p := range []string{`{}`, benchClaims, `{"iss":"a","ISS":"b"}`, `{"exp":1e9,"nbf":0.5,"iat":18446744073709549568}`, `{"aud":"a"}`,
		`{"aud":[]}`, `{"sub":"\ud83d\ude00"}`, `{"exp":-0}`, `{"exp":1E+2}`, `{"jti":null}`, `{"exp":1,"exp":2}`, `{"a":1e309}`} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		keys, token := macToken(t, goodHeader, payload)
		if judge(keys, token) != OK {
			return
		}
		tok, err := Parse(token, 0)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader([]byte(payload)))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(tok.Claims.Any(), any(want)) {
			t.Fatalf("%q: %v; encoding/json says %v, %v", payload, tok.Claims.Any(), want, err)
		}
		text := func(name string) string { s, _ := want[name].(string); return s }
		if tok.Issuer != text("iss") || tok.Subject != text("sub") || tok.ID != text("jti") {
			t.Errorf("%q: %+v", payload, tok.Registered)
		}
		if n, ok := want["exp"].(json.Number); ok != tok.HasExpiry {
			t.Errorf("%q: exp %v", payload, want["exp"])
		} else if x, _ := n.Float64(); ok && (float64(tok.Expiry) > x || x-float64(tok.Expiry) >= 2048) {
			t.Errorf("%q: exp is %d", payload, tok.Expiry)
		}
	})
}
