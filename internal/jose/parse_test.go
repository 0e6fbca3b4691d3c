package jose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

const goodHeader = `{"alg":"HS256"}`

func TestStatusOfEveryBadToken(t *testing.T) {
	s := testSigners()
	keys := NewKeySet(mustKey(t, "", "", s.hmac))
	header := func(h string) string { return s.token(t, "HS256", h, `{}`) }
	payload := func(p string) string { return s.token(t, "HS256", goodHeader, p) }
	raw := func(h, p string) string {
		input := h + "." + p
		return input + "." + b64(string(s.sign(t, algorithms["HS256"], input)))
	}
	const (
		form = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
		pj   = "Jwt payload is an invalid JSON"
	)
	for _, c := range []struct{ name, token, want string }{
		{"good", payload(`{"iss":"a","sub":"b","jti":"c","exp":1.5,"nbf":0,"iat":1e19,"aud":["x","y"]}`), "OK"},
		{"empty", "", form},
		{"one dot", "a.b", form},
		{"three dots", "a.b.c.d", form},
		{"JWE", "a.b.c.d.e", form},
		{"empty header", "." + b64("{}") + ".c", form},
		{"header of no base64url", "%%." + b64("{}") + ".c", form},
		{"detached payload", b64(goodHeader) + "..c2ln", form},
		{"empty signature", b64(goodHeader) + "." + b64("{}") + ".", form},
		{"too long", strings.Repeat("a", MaxTokenSize+1), form},
		{"header with padding", raw(b64(goodHeader)+"=", b64("{}")), "Jwt header is an invalid Base64url encoded"},
		{"header with padding bits", raw(b64(`{"alg":"HS256"} `)[:21]+"h", b64("{}")), "Jwt header is an invalid Base64url encoded"},
		{"header of standard base64", raw("e+/+", b64("{}")), "Jwt header is an invalid Base64url encoded"},
		{"newline in header", raw(b64(goodHeader)+"\n", b64("{}")), "Jwt header is an invalid Base64url encoded"},
		{"header not JSON", header(`{alg}`), "Jwt header is an invalid JSON"},
		{"header a list", header(`["alg"]`), "Jwt header is an invalid JSON"},
		{"alg twice", header(`{"alg":"HS256","alg":"HS256"}`), "Jwt header is an invalid JSON"},
		{"alg twice, once escaped", header(`{"alg":"HS256","\u0061lg":"HS256"}`), "Jwt header is an invalid JSON"},
		{"no alg", header(`{}`), "Jwt header [alg] field is required and must be a string"},
		{"alg a number", header(`{"alg":1}`), "Jwt header [alg] field is required and must be a string"},
		{"alg null", header(`{"alg":null}`), "Jwt header [alg] field is required and must be a string"},
		{"alg none", header(`{"alg":"none"}`), "Jwt header [alg] is not supported"},
		{"alg None", header(`{"alg":"None"}`), "Jwt header [alg] is not supported"},
		{"alg lower", header(`{"alg":"hs256"}`), "Jwt header [alg] is not supported"},
		{"alg empty", header(`{"alg":""}`), "Jwt header [alg] is not supported"},
		{"kid a number", header(`{"alg":"HS256","kid":1}`), "Jwt header [kid] field is not a string"},
		{"kid null", header(`{"alg":"HS256","kid":null}`), "Jwt header [kid] field is not a string"},
		{"crit", header(`{"alg":"HS256","crit":["exp"],"exp":1}`), "Jwt header [crit] is not supported"},
		{"b64 false", header(`{"alg":"HS256","b64":false}`), "Jwt header [crit] is not supported"},
		{"b64 text", header(`{"alg":"HS256","b64":"true"}`), "Jwt header [crit] is not supported"},
		{"b64 true", header(`{"alg":"HS256","b64":true}`), "OK"},
		{"key in the header", header(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"http://evil.example/"}`), "OK"},
		{"JSON form", `{"payload":"e30"}`, form},
		{"crit empty", header(`{"alg":"HS256","crit":[]}`), "Jwt header [crit] is not supported"},
		{"payload with padding", raw(b64(goodHeader), b64("{}")+"="), "Jwt payload is an invalid Base64url encoded"},
		{"payload with padding bits", raw(b64(goodHeader), "e31"), "Jwt payload is an invalid Base64url encoded"},
		{"payload not JSON", payload(`x`), pj},
		{"payload a list", payload(`[]`), pj},
		{"payload null", payload(`null`), pj},
		{"payload empty text", payload(` `), pj},
		{"name twice", payload(`{"a":1,"a":1}`), pj},
		{"name twice inside", payload(`{"a":{"b":1,"b":1}}`), pj},
		{"single quotes", payload(`{'a':1}`), pj},
		{"bare name", payload(`{a:1}`), pj},
		{"trailing comma", payload(`{"a":1,}`), pj},
		{"trailing comma in list", payload(`{"a":[1,]}`), pj},
		{"text after", payload(`{} x`), pj},
		{"raw control", payload("{\"a\":\"\n\"}"), pj},
		{"bad UTF-8", payload("{\"a\":\"\xff\"}"), pj},
		{"lone surrogate", payload(`{"a":"\ud800"}`), pj},
		{"surrogates swapped", payload(`{"a":"\ude00\ud83d"}`), pj},
		{"leading zero", payload(`{"a":01}`), pj},
		{"plus", payload(`{"a":+1}`), pj},
		{"NaN", payload(`{"a":NaN}`), pj},
		{"number out of range", payload(`{"a":1e400}`), pj},
		{"too deep", payload(strings.Repeat(`{"a":`, 32+1) + `1` + strings.Repeat(`}`, 32+1)), pj},
		{"byte order mark", payload("\ufeff{}"), pj},
		{"iss", payload(`{"iss":1}`), "Jwt payload [iss] field is not a string"},
		{"iss null", payload(`{"iss":null}`), "Jwt payload [iss] field is not a string"},
		{"sub", payload(`{"sub":[]}`), "Jwt payload [sub] field is not a string"},
		{"iat", payload(`{"iat":"1"}`), "Jwt payload [iat] field is not an integer"},
		{"iat below", payload(`{"iat":-1}`), "Jwt payload [iat] field is not a positive 64 bit integer"},
		{"nbf", payload(`{"nbf":true}`), "Jwt payload [nbf] field is not an integer"},
		{"nbf above", payload(`{"nbf":18446744073709551615}`), "Jwt payload [nbf] field is not a positive 64 bit integer"},
		{"exp", payload(`{"exp":"1"}`), "Jwt payload [exp] field is not an integer"},
		{"exp null", payload(`{"exp":null}`), "Jwt payload [exp] field is not an integer"},
		{"exp below", payload(`{"exp":-0.5}`), "Jwt payload [exp] field is not a positive 64 bit integer"},
		{"jti", payload(`{"jti":{}}`), "Jwt payload [jti] field is not a string"},
		{"aud", payload(`{"aud":1}`), "Jwt payload [aud] field is not a string or string list"},
		{"aud list", payload(`{"aud":["a",1]}`), "Jwt payload [aud] field is not a string or string list"},
		{"aud null", payload(`{"aud":null}`), "Jwt payload [aud] field is not a string or string list"},
		{"signature of no base64url", b64(goodHeader) + "." + b64("{}") + ".a+b", "Jwt signature is an invalid Base64url encoded"},
		{"signature with padding", payload(`{}`) + "=", "Jwt signature is an invalid Base64url encoded"},
		{"signature of an impossible length", b64(goodHeader) + "." + b64("{}") + ".A", "Jwt signature is an invalid Base64url encoded"},
		{"wrong signature", b64(goodHeader) + "." + b64("{}") + "." + b64(strings.Repeat("x", 32)), "Jwt verification fails"},
		// The order of checks: what is wrong first is said.
		{"header before payload", header(`{"alg":"none"}`)[:16] + ".!.!", "Jwt header is an invalid JSON"},
		{"alg before crit", header(`{"alg":"none","crit":1}`), "Jwt header [alg] is not supported"},
		{"iss before exp", payload(`{"exp":"1","iss":1}`), "Jwt payload [iss] field is not a string"},
		{"claims before signature", b64(goodHeader) + "." + b64(`{"aud":1}`) + ".+", "Jwt payload [aud] field is not a string or string list"},
	} {
		if got := judge(keys, c.token).String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		claims string
		want   Kind
	}{
		{`{}`, OK},
		{`{"exp":1000000}`, OK},
		{`{"exp":999940}`, OK},
		{`{"exp":999939}`, Expired},
		{`{"exp":0}`, Expired},
		{`{"exp":1e19}`, OK},
		{`{"nbf":1000060}`, OK},
		{`{"nbf":1000061}`, NotYetValid},
		{`{"nbf":1e19}`, NotYetValid},
		{`{"nbf":1000061,"exp":1}`, NotYetValid},
		{`{"exp":18446744073709549568}`, OK},
	} {
		tok, err := Parse(b64(goodHeader)+"."+b64(c.claims)+".c2ln", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := KindOf(tok.CheckTimes(now, DefaultSkew)); got != c.want {
			t.Errorf("%s: %q, want %q", c.claims, got, c.want)
		}
	}
}

func TestAudiences(t *testing.T) {
	for _, c := range []struct {
		allowed []string
		claims  string
		want    Kind
	}{
		{nil, `{}`, OK},
		{nil, `{"aud":"x"}`, OK},
		{[]string{"x"}, `{}`, AudienceNotAllowed},
		{[]string{"x"}, `{"aud":[]}`, AudienceNotAllowed},
		{[]string{"x"}, `{"aud":"x"}`, OK},
		{[]string{"x"}, `{"aud":"X"}`, AudienceNotAllowed},
		{[]string{"x", "y"}, `{"aud":["z","y"]}`, OK},
		{[]string{"https://x/"}, `{"aud":"x"}`, OK},
		{[]string{"x"}, `{"aud":"http://x/"}`, OK},
		{[]string{"x"}, `{"aud":"x//"}`, AudienceNotAllowed},
		{[]string{"x"}, `{"aud":"ftp://x"}`, AudienceNotAllowed},
	} {
		tok, err := Parse(b64(goodHeader)+"."+b64(c.claims)+".c2ln", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := KindOf(NewAudiences(c.allowed).Check(tok)); got != c.want {
			t.Errorf("%v, %s: %q, want %q", c.allowed, c.claims, got, c.want)
		}
	}
}

// Printing or logging a token in any way shows nothing of it.
func TestTokensAreNotShown(t *testing.T) {
	tok, err := Parse(readFile(t, "valid.jwt"), 0)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{tok, *tok, &tok.JWS, tok.JWS, []any{tok}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "token", v)
	}
	for _, part := range append(strings.Split(tok.Raw(), "."), tok.Issuer, "4685989700", "\\x65\\x79") {
		if strings.Contains(out.String(), part) {
			t.Errorf("%q is shown: %s", part, &out)
		}
	}
}

// No text of an error holds the token.
func TestErrorsHoldNoToken(t *testing.T) {
	keys, token := readKeySet(t), readFile(t, "valid.jwt")
	sig := token[strings.LastIndexByte(token, '.')+1:]
	for i, m := range mutations(token) {
		if i%7 != 0 {
			continue
		}
		tok, err := Parse(m, 0)
		if err == nil {
			_, err = keys.Verify(tok)
		}
		if err != nil && strings.Contains(err.Error(), sig[:20]) {
			t.Fatalf("%q", err)
		}
	}
}
