package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"github.com/usher-mesh/usher/internal/jose"
)

// kid is the key ID of every key here.
const kid = "the-key-2026-10"

// algorithms are all of internal/jose, with their digests.
var algorithms = map[jose.Algorithm]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
	"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512,
	"EdDSA": 0,
}

// signers are the private keys, made once, by the first letters of an algorithm,
// or its name for EC.
var signers = sync.OnceValue(func() map[string]any {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	m := map[string]any{"RS": r, "PS": r, "Ed": ed, "HS": []byte(strings.Repeat("a secret of 64 bytes", 4)[:64])}
	for name, c := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		m[name], _ = ecdsa.GenerateKey(c, rand.Reader)
	}
	return m
})

func private(alg jose.Algorithm) any {
	if k := signers()[string(alg)]; k != nil {
		return k
	}
	return signers()[string(alg[:2])]
}

// public is what verifies: the secret itself for HMAC.
func public(alg jose.Algorithm) any {
	if k, ok := private(alg).(crypto.Signer); ok {
		return k.Public()
	}
	return private(alg)
}

// sign makes a signature by the standard library alone.
func sign(t testing.TB, alg jose.Algorithm, input string) []byte {
	t.Helper()
	h := algorithms[alg]
	var sum []byte
	if h != 0 {
		d := h.New()
		d.Write([]byte(input))
		sum = d.Sum(nil)
	}
	var sig []byte
	var err error
	switch k := private(alg).(type) {
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			sig, err = rsa.SignPSS(rand.Reader, k, h, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(nil, k, h, sum)
		}
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, k, sum)
		n := (k.Params().BitSize + 7) / 8
		sig, err = append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...), e
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(input))
	case []byte:
		m := hmac.New(h.New, k)
		m.Write([]byte(input))
		sig = m.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// token signs sections as they are.
func token(t testing.TB, alg jose.Algorithm, header, payload string) string {
	t.Helper()
	input := header + "." + payload
	return input + "." + b64(string(sign(t, alg, input)))
}
