package jose

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

// candidate is a token made to differ from a plain good one in what its name says.
type candidate struct{ name, token string }

// headers are what may stand in a header, by name. ALG becomes the algorithm.
var headers = map[string]string{
	"plain":             `{"alg":"ALG","kid":"` + kid + `","typ":"JWT"}`,
	"alg alone":         `{"alg":"ALG"}`,
	"white space":       " {\n\t\"alg\" : \"ALG\" } ",
	"empty kid":         `{"alg":"ALG","kid":""}`,
	"another kid":       `{"alg":"ALG","kid":"another"}`,
	"kid a number":      `{"alg":"ALG","kid":5}`,
	"kid null":          `{"alg":"ALG","kid":null}`,
	"alg twice":         `{"alg":"ALG","alg":"ALG"}`,
	"alg twice, none":   `{"alg":"none","alg":"ALG"}`,
	"alg escaped":       `{"\u0061lg":"ALG"}`,
	"alg in capitals":   `{"ALG":"none","alg":"ALG"}`,
	"no alg":            `{"typ":"JWT"}`,
	"alg null":          `{"alg":null}`,
	"alg a list":        `{"alg":["ALG"]}`,
	"alg none":          `{"alg":"none"}`,
	"alg NONE":          `{"alg":"NONE"}`,
	"alg HS256":         `{"alg":"HS256"}`,
	"alg RS256":         `{"alg":"RS256"}`,
	"alg RS512":         `{"alg":"RS512"}`,
	"alg PS256":         `{"alg":"PS256"}`,
	"alg ES256":         `{"alg":"ES256"}`,
	"alg ES512":         `{"alg":"ES512"}`,
	"alg EdDSA":         `{"alg":"EdDSA"}`,
	"alg with space":    `{"alg":"ALG "}`,
	"crit":              `{"alg":"ALG","crit":["exp"],"exp":1}`,
	"crit empty":        `{"alg":"ALG","crit":[]}`,
	"crit null":         `{"alg":"ALG","crit":null}`,
	"b64 false":         `{"alg":"ALG","b64":false}`,
	"b64 false, crit":   `{"alg":"ALG","b64":false,"crit":["b64"]}`,
	"b64 true":          `{"alg":"ALG","b64":true}`,
	"key inside":        `{"alg":"ALG","jwk":{"kty":"oct","k":"AAAA"}}`,
	"key elsewhere":     `{"alg":"ALG","jku":"https://evil.example/keys","x5u":"https://evil.example/cert"}`,
	"zip":               `{"alg":"ALG","zip":"DEF"}`,
	"deep":              `{"alg":"ALG","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
	"bad UTF-8":         "{\"alg\":\"ALG\",\"x\":\"\xff\"}",
	"lone surrogate":    `{"alg":"ALG","x":"\ud800"}`,
	"BOM":               "\ufeff" + `{"alg":"ALG"}`,
	"text after":        `{"alg":"ALG"}x`,
	"a second object":   `{"alg":"ALG"}{}`,
	"trailing comma":    `{"alg":"ALG",}`,
	"single quotes":     `{'alg':'ALG'}`,
	"control character": "{\"alg\":\"ALG\",\"x\":\"\x01\"}",
	"comment":           `{/**/"alg":"ALG"}`,
	"a list":            `[{"alg":"ALG"}]`,
	"empty":             ``,
	"long":              `{"alg":"ALG","x":"` + strings.Repeat("x", 20000) + `"}`,
}

// payloads are what may stand in a payload, by name. They begin from good claims.
func payloads() map[string]string {
	now := time.Now().Unix()
	claims := func(more string) string {
		return fmt.Sprintf(`{"iss":"%s","aud":"%s","exp":%d%s}`, issuer, audience, now+3600, more)
	}
	without := func(rest string) string { return `{"iss":"` + issuer + `","aud":"` + audience + `"` + rest + `}` }
	m := map[string]string{
		"plain":             claims(`,"sub":"me","iat":1,"nbf":1,"jti":"x"`),
		"no exp":            without(``),
		"exp past":          without(fmt.Sprintf(`,"exp":%d`, now-3600)),
		"exp within skew":   without(fmt.Sprintf(`,"exp":%d`, now-30)),
		"exp 0":             without(`,"exp":0`),
		"exp negative":      without(`,"exp":-1`),
		"exp text":          without(`,"exp":"9999999999"`),
		"exp null":          without(`,"exp":null`),
		"exp true":          without(`,"exp":true`),
		"exp a fraction":    without(fmt.Sprintf(`,"exp":%d.5`, now+3600)),
		"exp an exponent":   without(`,"exp":9.9e9`),
		"exp 1e19":          without(`,"exp":1e19`),
		"exp 1e30":          without(`,"exp":1e30`),
		"exp 1e400":         without(`,"exp":1e400`),
		"nbf future":        claims(fmt.Sprintf(`,"nbf":%d`, now+3600)),
		"nbf within skew":   claims(fmt.Sprintf(`,"nbf":%d`, now+30)),
		"nbf text":          claims(`,"nbf":"1"`),
		"nbf null":          claims(`,"nbf":null`),
		"nbf negative":      claims(`,"nbf":-1`),
		"nbf 1e30":          claims(`,"nbf":1e30`),
		"iat future":        claims(fmt.Sprintf(`,"iat":%d`, now+3600)),
		"iat text":          claims(`,"iat":"1"`),
		"iat negative":      claims(`,"iat":-1`),
		"sub a number":      claims(`,"sub":5`),
		"sub null":          claims(`,"sub":null`),
		"jti a number":      claims(`,"jti":5`),
		"jti null":          claims(`,"jti":null`),
		"iss twice":         claims(`,"iss":"` + issuer + `"`),
		"iss twice, other":  `{"iss":"other",` + claims("")[1:],
		"iss in capitals":   claims(`,"ISS":"other"`),
		"exp in capitals":   without(fmt.Sprintf(`,"exp":%d,"EXP":1`, now+3600)),
		"iss other":         fmt.Sprintf(`{"iss":"other","aud":"%s","exp":%d}`, audience, now+3600),
		"iss a number":      fmt.Sprintf(`{"iss":5,"aud":"%s","exp":%d}`, audience, now+3600),
		"no iss":            fmt.Sprintf(`{"aud":"%s","exp":%d}`, audience, now+3600),
		"bad UTF-8":         claims(",\"x\":\"\xff\""),
		"lone surrogate":    claims(`,"x":"\ud800"`),
		"deep":              claims(`,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)),
		"control character": claims(",\"x\":\"\x01\""),
		"number 1e400":      claims(`,"x":1e400`),
		"leading zero":      claims(`,"x":01`),
		"plus":              claims(`,"x":+1`),
		"trailing comma":    claims(`,`),
		"text after":        claims(``) + "x",
		"BOM":               "\ufeff" + claims(``),
		"a list":            `[` + claims(``) + `]`,
		"null":              `null`,
		"text":              `"text"`,
		"empty object":      `{}`,
		"not JSON":          `Payload`,
		"empty":             ``,
	}
	for name, aud := range map[string]string{
		"absent": ``, "a list": `,"aud":["x","` + audience + `"]`, "an empty list": `,"aud":[]`, "another": `,"aud":"x"`,
		"a number": `,"aud":5`, "null": `,"aud":null`, "a list with a number": `,"aud":["` + audience + `",5]`,
		"a list with null": `,"aud":["` + audience + `",null]`, "with a slash": `,"aud":"` + audience + `/"`,
		"with a scheme": `,"aud":"https://` + audience + `"`, "in capitals": `,"aud":"` + strings.ToUpper(audience) + `"`,
		"an object": `,"aud":{"` + audience + `":1}`,
	} {
		m["aud "+name] = fmt.Sprintf(`{"iss":"%s","exp":%d%s}`, issuer, now+3600, aud)
	}
	return m
}

// signatures are what may be done to a signed token.
var signatures = map[string]func(t testing.TB, alg jose.Algorithm, s []string) string{
	"plain":          func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) },
	"padded":         func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + "=" },
	"padded twice":   func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + "==" },
	"space before":   func(_ testing.TB, _ jose.Algorithm, s []string) string { return " " + join(s) },
	"space after":    func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + " " },
	"line end after": func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + "\n" },
	"line end inside": func(_ testing.TB, _ jose.Algorithm, s []string) string {
		return s[0] + "." + s[1] + "." + s[2][:9] + "\r\n" + s[2][9:]
	},
	"NUL after":     func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + "\x00" },
	"dot before":    func(_ testing.TB, _ jose.Algorithm, s []string) string { return "." + join(s) },
	"dot after":     func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + "." },
	"two dots":      func(_ testing.TB, _ jose.Algorithm, s []string) string { return s[0] + ".." + s[1] + "." + s[2] },
	"five sections": func(_ testing.TB, _ jose.Algorithm, s []string) string { return join(s) + ".AA.AA" },
	"no signature":  func(_ testing.TB, _ jose.Algorithm, s []string) string { return s[0] + "." + s[1] + "." },
	"two sections":  func(_ testing.TB, _ jose.Algorithm, s []string) string { return s[0] + "." + s[1] },
	"detached":      func(_ testing.TB, _ jose.Algorithm, s []string) string { return s[0] + ".." + s[2] },
	"swapped":       func(_ testing.TB, _ jose.Algorithm, s []string) string { return s[1] + "." + s[0] + "." + s[2] },
	"standard base64": func(_ testing.TB, _ jose.Algorithm, s []string) string {
		return s[0] + "." + s[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(s[2])
	},
	"spare bits":       func(_ testing.TB, _ jose.Algorithm, s []string) string { return s[0] + "." + s[1] + "." + spare(s[2]) },
	"spare bits in p":  func(t testing.TB, alg jose.Algorithm, s []string) string { return token(t, alg, s[0], spare(s[1])) },
	"spare bits in h":  func(t testing.TB, alg jose.Algorithm, s []string) string { return token(t, alg, spare(s[0]), s[1]) },
	"padded payload":   func(t testing.TB, alg jose.Algorithm, s []string) string { return token(t, alg, s[0], pad(s[1])) },
	"padded header":    func(t testing.TB, alg jose.Algorithm, s []string) string { return token(t, alg, pad(s[0]), s[1]) },
	"line end in p":    func(t testing.TB, alg jose.Algorithm, s []string) string { return token(t, alg, s[0], s[1]+"\n") },
	"zero":             with(func(b []byte) []byte { return make([]byte, len(b)) }),
	"ones":             with(func(b []byte) []byte { return []byte(strings.Repeat("\xff", len(b))) }),
	"cut":              with(func(b []byte) []byte { return b[:len(b)-1] }),
	"cut in front":     with(func(b []byte) []byte { return b[1:] }),
	"halved":           with(func(b []byte) []byte { return b[:len(b)/2] }),
	"zero after":       with(func(b []byte) []byte { return append(b, 0) }),
	"zero in front":    with(func(b []byte) []byte { return append([]byte{0}, b...) }),
	"doubled":          with(func(b []byte) []byte { return append(b, b...) }),
	"reversed halves":  with(func(b []byte) []byte { return append(b[len(b)/2:len(b):len(b)], b[:len(b)/2]...) }),
	"one bit":          with(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
	"DER":              der,
	"other s":          otherS,
	"public as secret": publicAsSecret,
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func join(s []string) string { return strings.Join(s, ".") }

func pad(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) }

// spare sets the last of the bits that carry nothing, if there are any.
func spare(s string) string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(s)%4 < 2 {
		return s
	}
	return s[:len(s)-1] + string(chars[strings.IndexByte(chars, s[len(s)-1])|1])
}

// with changes the bytes of the signature.
func with(f func([]byte) []byte) func(testing.TB, jose.Algorithm, []string) string {
	return func(t testing.TB, _ jose.Algorithm, s []string) string {
		return s[0] + "." + s[1] + "." + b64(string(f(decoded(t, s[2]))))
	}
}

func decoded(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// der gives an EC signature as ASN.1, which other protocols want.
func der(t testing.TB, alg jose.Algorithm, s []string) string {
	if alg[:2] != "ES" {
		return join(s)
	}
	b := decoded(t, s[2])
	d, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(b[:len(b)/2]), new(big.Int).SetBytes(b[len(b)/2:])})
	if err != nil {
		t.Fatal(err)
	}
	return s[0] + "." + s[1] + "." + b64(string(d))
}

// otherS gives the other signature that goes with an EC signature: (r, n-s).
func otherS(t testing.TB, alg jose.Algorithm, s []string) string {
	k, ok := public(alg).(*ecdsa.PublicKey)
	if !ok {
		return join(s)
	}
	b := decoded(t, s[2])
	v := new(big.Int).SetBytes(b[len(b)/2:])
	v.Sub(k.Params().N, v).FillBytes(b[len(b)/2:])
	return s[0] + "." + s[1] + "." + b64(string(b))
}

// publicAsSecret signs with HMAC by the text of the public key.
func publicAsSecret(t testing.TB, alg jose.Algorithm, s []string) string {
	if alg[:2] == "HS" {
		return join(s)
	}
	d, err := x509.MarshalPKIXPublicKey(public(alg))
	if err != nil {
		t.Fatal(err)
	}
	input := b64(`{"alg":"HS256"}`) + "." + s[1]
	m := hmac.New(algorithms["HS256"].New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: d}))
	m.Write([]byte(input))
	return input + "." + b64(string(m.Sum(nil)))
}

// candidates are, for one algorithm, all headers, payloads and signatures by
// themselves, n of them put together at random, and n slips of a good token.
func candidates(t testing.TB, alg jose.Algorithm, n int, random *rand.Rand) (l []candidate) {
	claims := payloads()
	add := func(header, payload, signature string) {
		h, p := b64(strings.ReplaceAll(headers[header], "ALG", string(alg))), b64(claims[payload])
		text := signatures[signature](t, alg, strings.Split(token(t, alg, h, p), "."))
		l = append(l, candidate{fmt.Sprintf("%s; header %s, payload %s, signature %s", alg, header, payload, signature), text})
	}
	hs, ps, ss := names(headers), names(claims), names(signatures)
	for _, h := range hs {
		add(h, "plain", "plain")
	}
	for _, p := range ps {
		add("plain", p, "plain")
	}
	for _, s := range ss {
		add("plain", "plain", s)
		add("alg alone", "exp a fraction", s)
	}
	for range n {
		add(hs[random.IntN(len(hs))], ps[random.IntN(len(ps))], ss[random.IntN(len(ss))])
	}
	good := token(t, alg, b64(strings.ReplaceAll(headers["plain"], "ALG", string(alg))), b64(claims["plain"]))
	for range n {
		name, text := slip(good, random)
		l = append(l, candidate{fmt.Sprintf("%s; %s", alg, name), text})
	}
	return l
}

// slip changes one place of a token.
func slip(s string, random *rand.Rand) (name, text string) {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\x00"
	i, c := random.IntN(len(s)), chars[random.IntN(len(chars))]
	switch random.IntN(4) {
	case 0:
		return fmt.Sprintf("%q at %d", c, i), s[:i] + string(c) + s[i+1:]
	case 1:
		return fmt.Sprintf("%q before %d", c, i), s[:i] + string(c) + s[i:]
	case 2:
		return fmt.Sprintf("without %d", i), s[:i] + s[i+1:]
	default:
		j := random.IntN(len(s))
		b := []byte(s)
		b[i], b[j] = b[j], b[i]
		return fmt.Sprintf("%d and %d swapped", i, j), string(b)
	}
}
