package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

func b64int(n *big.Int) string { return b64(string(n.Bytes())) }

func rsaJWK() map[string]any {
	k := testSigners().rsa
	return map[string]any{"kty": "RSA", "n": b64int(k.N), "e": "AQAB", "kid": "r"}
}

func ecJWK(crv string) map[string]any {
	p, _ := testSigners().ec[crv].PublicKey.Bytes()
	n := (len(p) - 1) / 2
	return map[string]any{"kty": "EC", "crv": crv, "x": b64(string(p[1 : 1+n])), "y": b64(string(p[1+n:]))}
}

func edJWK() map[string]any {
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(string(testSigners().ed[32:]))}
}

func octJWK(bytes int) map[string]any {
	return map[string]any{"kty": "oct", "k": b64(string(secret("s"))[:bytes])}
}

// rocaModulus is that of Wycheproof's vector rejectsKeyWithRocaVulnerability
// (github.com/c2sp/wycheproof, json_web_key_test.json, Apache-2.0).
const rocaModulus = "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYIwHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE"

// with gives a copy with a member set, or removed by nil.
func with(m map[string]any, name string, v any) map[string]any {
	m = maps.Clone(m)
	if m[name] = v; v == nil {
		delete(m, name)
	}
	return m
}

func setJSON(t testing.TB, keys ...any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func certificate(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestWhyKeysAreSkipped(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own := base64.StdEncoding.EncodeToString(certificate(t, testSigners().rsa))
	foreign := base64.StdEncoding.EncodeToString(certificate(t, other))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		key  any
		want string // "": it is used
	}{
		{"RSA", rsaJWK(), ""},
		{"P-256", ecJWK("P-256"), ""},
		{"P-384", ecJWK("P-384"), ""},
		{"P-521", ecJWK("P-521"), ""},
		{"Ed25519", edJWK(), ""},
		{"oct", octJWK(64), ""},
		{"oct for HS256", with(octJWK(32), "alg", "HS256"), ""},
		{"oct short for all", octJWK(31), "31 bytes, fewer than 32"},
		{"oct short for HS384", with(octJWK(47), "alg", "HS384"), "does not go with"},
		{"oct short for HS512", with(octJWK(63), "alg", "HS512"), "does not go with"},
		{"use sig", with(rsaJWK(), "use", "sig"), ""},
		{"use null", with(rsaJWK(), "use", json.RawMessage("null")), ""},
		{"use enc", with(rsaJWK(), "use", "enc"), "use is enc"},
		{"use of another kind", with(rsaJWK(), "use", "tls"), `use is "tls", not sig`},
		{"use a list", with(rsaJWK(), "use", []any{"sig"}), "use is not text"},
		{"key_ops verify", with(rsaJWK(), "key_ops", []any{"sign", "verify"}), ""},
		{"key_ops empty", with(rsaJWK(), "key_ops", []any{}), ""},
		{"key_ops null", with(rsaJWK(), "key_ops", json.RawMessage("null")), ""},
		{"key_ops encrypt", with(rsaJWK(), "key_ops", []any{"encrypt", "wrapKey"}), "key_ops has no verify"},
		{"key_ops sign", with(rsaJWK(), "key_ops", []any{"sign"}), "key_ops has no verify"},
		{"key_ops text", with(rsaJWK(), "key_ops", "verify"), "key_ops is not a list"},
		{"alg", with(rsaJWK(), "alg", "PS512"), ""},
		{"alg of another type", with(rsaJWK(), "alg", "ES256"), "does not go with"},
		{"alg for encryption", with(rsaJWK(), "alg", "RSA-OAEP"), "does not go with"},
		{"alg of another curve", with(ecJWK("P-384"), "alg", "ES256"), "does not go with"},
		{"alg a number", with(rsaJWK(), "alg", 5), ""},
		{"kid a number", with(rsaJWK(), "kid", 5), ""},
		{"no kty", with(rsaJWK(), "kty", nil), "kty is missing"},
		{"kty unknown", with(rsaJWK(), "kty", "DSA"), "not supported"},
		{"no n", with(rsaJWK(), "n", nil), "n is missing"},
		{"n with padding", with(rsaJWK(), "n", rsaJWK()["n"].(string)+"=="), ""},
		{"n not base64url", with(rsaJWK(), "n", "+/"), "n is not base64url"},
		{"n a number", with(rsaJWK(), "n", 5), "n is missing"},
		{"1024 bits", with(rsaJWK(), "n", b64int(small.N)), "1024 bits, fewer than 2048"},
		{"e even", with(rsaJWK(), "e", "AAIA"), "exponent is even"},
		{"e one", with(rsaJWK(), "e", "AQ"), "less than 3"},
		{"e three", with(rsaJWK(), "e", "Aw"), ""},
		{"e long", with(rsaJWK(), "e", "AQAAAAE"), "more than 32 bits"},
		{"ROCA", with(rsaJWK(), "n", rocaModulus), "can be factored"},
		{"x5c own", with(rsaJWK(), "x5c", []any{own}), ""},
		{"x5c foreign", with(rsaJWK(), "x5c", []any{foreign}), "another key"},
		{"x5c own, then others", with(rsaJWK(), "x5c", []any{own, foreign}), ""},
		{"x5c empty", with(rsaJWK(), "x5c", []any{}), ""},
		{"x5c text", with(rsaJWK(), "x5c", own), "not a list"},
		{"x5c a number", with(rsaJWK(), "x5c", []any{1}), "not a certificate"},
		{"x5c of an oct key", with(octJWK(64), "x5c", []any{own}), "another key"},
		{"x5c garbage", with(rsaJWK(), "x5c", []any{"AAAA"}), "not a certificate"},
		{"no crv", with(ecJWK("P-256"), "crv", nil), "crv is none of"},
		{"wrong crv", with(ecJWK("P-256"), "crv", "P-384"), "not on curve"},
		{"secp256k1", with(ecJWK("P-256"), "crv", "secp256k1"), "crv is none of"},
		{"off the curve", with(ecJWK("P-256"), "y", ecJWK("P-256")["x"]), "not on curve"},
		{"x too long", with(ecJWK("P-256"), "x", b64(strings.Repeat("x", 33))), "more than the 32"},
		{"Ed448", with(edJWK(), "crv", "Ed448"), "crv is not Ed25519"},
		{"Ed25519 short", with(edJWK(), "x", "AAAA"), "not 32"},
		{"Ed25519 off the curve", with(edJWK(), "x", b64("\x02"+strings.Repeat("\x00", 31))), "not a point"},
		{"Ed25519 y not reduced", with(edJWK(), "x", b64("\xee"+strings.Repeat("\xff", 30)+"\x7f")), "not a point"},
		{"Ed25519 identity", with(edJWK(), "x", b64("\x01"+strings.Repeat("\x00", 31))), "small order"},
		{"Ed25519 order 4", with(edJWK(), "x", b64(strings.Repeat("\x00", 32))), "small order"},
		{"X25519", with(edJWK(), "crv", "X25519"), "crv is not Ed25519"},
		{"oct empty", map[string]any{"kty": "oct", "k": ""}, "k is missing"},
		{"not an object", 5, "not an object"},
	} {
		set, err := ParseKeySet(setJSON(t, edJWK(), c.key))
		if err != nil {
			t.Fatal(c.name, err)
		}
		got := ""
		for _, s := range set.Skipped() {
			got = s.Reason
			if s.Index != 1 {
				t.Errorf("%s: index %d", c.name, s.Index)
			}
		}
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: skipped for %q, want %q", c.name, got, c.want)
		}
	}
}

func TestKeySetErrors(t *testing.T) {
	many := make([]any, maxKeys+1)
	for i := range many {
		many[i] = edJWK()
	}
	for _, c := range []struct {
		doc  string
		want Kind
	}{
		{``, KeySetJSON}, {`x`, KeySetJSON}, {`[]`, KeySetJSON}, {`<html>`, KeySetJSON},
		{`{"keys":[],"keys":[]}`, KeySetJSON},
		{`{}`, KeySetNoKeys}, {`{"a":"b"}`, KeySetNoKeys},
		{`{"keys":{}}`, KeySetBadKeys}, {`{"keys":null}`, KeySetBadKeys},
		{`{"keys":[]}`, NoValidKeys}, {`{"keys":[{"kty":"x"}]}`, NoValidKeys},
		{string(setJSON(t, many...)), KeySetBadKeys},
		{`{"keys":[],"x":"` + strings.Repeat("x", MaxKeySetSize) + `"}`, KeySetJSON},
	} {
		if _, err := ParseKeySet([]byte(c.doc)); KindOf(err) != c.want {
			t.Errorf("%.40s: %v, want %v", c.doc, err, c.want)
		}
	}
}

func TestGoogleCertificates(t *testing.T) {
	s := testSigners()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	text := func(k *rsa.PrivateKey) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(t, k)}))
	}
	doc := func(m map[string]string) []byte { b, _ := json.Marshal(m); return b }
	set, err := ParseKeySet(doc(map[string]string{"a": text(s.rsa), "b": text(small), "c": text(s.rsa)}))
	if err != nil {
		t.Fatal(err)
	}
	for kid, want := range map[string]Kind{"a": OK, "b": NoMatchingKey, "c": OK} {
		if got := judge(set, s.token(t, "RS256", `{"alg":"RS256","kid":"`+kid+`"}`, `{}`)); got != want {
			t.Errorf("%s: %s", kid, got)
		}
	}
	if l := set.Skipped(); len(l) != 1 || l[0].KID != "b" || !strings.Contains(l[0].Reason, "1024 bits") {
		t.Errorf("skipped: %v", l)
	}
	if a, c := set.Keys()[0], set.Keys()[1]; NewKeySet(a).Contains(c) {
		t.Error("two keys are the same though their kids differ")
	}
	for _, bad := range []map[string]string{{}, {"a": "x"}, {"a": text(s.rsa), "b": "x"}} {
		if _, err := ParseKeySet(doc(bad)); KindOf(err) != KeySetNoKeys {
			t.Errorf("%v", err)
		}
	}
}

func TestPEM(t *testing.T) {
	s := testSigners()
	block := func(typ string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
	}
	pkix := func(k any) []byte { b, _ := x509.MarshalPKIXPublicKey(k); return b }
	all := block("PUBLIC KEY", pkix(&s.rsa.PublicKey)) + block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&s.rsa.PublicKey)) +
		block("PUBLIC KEY", pkix(&s.ec["P-256"].PublicKey)) + block("PUBLIC KEY", pkix(s.ed.Public())) + block("CERTIFICATE", certificate(t, s.rsa))
	keys, err := ParsePEM([]byte(all))
	if err != nil || len(keys) != 5 {
		t.Fatal(len(keys), err)
	}
	private, _ := x509.MarshalPKCS8PrivateKey(s.rsa)
	for _, bad := range []string{"", "x", block("PRIVATE KEY", private), block("PUBLIC KEY", []byte("x"))} {
		if _, err := ParsePEM([]byte(bad)); err == nil {
			t.Errorf("%.30q is taken", bad)
		}
	}
}

// Printing a key or a set in any way shows no secret.
func TestSecretsAreNotShown(t *testing.T) {
	k := mustKey(t, "id", "", secret("hush-hush"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if s := fmt.Sprintf(verb, k); strings.Contains(s, "hush") || strings.Contains(s, "68757368") {
			t.Errorf("%s: %s", verb, s)
		}
	}
	set := NewKeySet(k)
	if !set.HasSecret() {
		t.Error("HasSecret is false")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if s := fmt.Sprintf(verb, set); strings.Contains(s, "hush") || strings.Contains(s, "68757368") {
			t.Errorf("%s: %s", verb, s)
		}
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(readFile(f, "jwks.json")))
	for _, m := range []any{rsaJWK(), ecJWK("P-256"), edJWK(), with(rsaJWK(), "x5c", []any{"AAAA"})} {
		f.Add(setJSON(f, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := ParseKeySet(b)
		if err != nil {
			return
		}
		for _, k := range set.Keys() {
			if !slices.Contains(set.candidates(k.ID()), k) {
				t.Error("a key is no candidate for its own kid")
			}
		}
		tok, err := Parse("eyJhbGciOiJSUzI1NiJ9.e30.AAAA", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.Verify(tok); err == nil {
			t.Error("a signature of three zero bytes verifies")
		}
	})
}
