package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"hash"
	"math/big"
	"sync"
	"testing"

	_ "crypto/sha256"
	_ "crypto/sha512"
)

// algorithms are all that both sides verify.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA",
}

// key is a key pair or a secret of the test's issuer. Its kid is its name.
type key struct {
	name    string
	private any // *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or []byte
}

var b64 = base64.RawURLEncoding.EncodeToString

// keys are made once. weak-rsa is too short to be used by usher.
var keys = sync.OnceValue(func() map[string]*key {
	m := map[string]*key{}
	add := func(name string, private any, err error) {
		if err != nil {
			panic(err)
		}
		m[name] = &key{name, private}
	}
	for name, bits := range map[string]int{"rsa": 2048, "other-rsa": 2048, "weak-rsa": 1024} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		add(name, k, err)
	}
	for name, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521(), "other-p256": elliptic.P256()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		add(name, k, err)
	}
	for _, name := range []string{"ed", "other-ed"} {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		add(name, k, err)
	}
	for _, name := range []string{"oct", "other-oct"} {
		k := make([]byte, 64)
		_, err := rand.Read(k)
		add(name, k, err)
	}
	return m
})

// keyOf names the test's key for an algorithm.
func keyOf(alg string) string {
	switch alg {
	case "ES256":
		return "p256"
	case "ES384":
		return "p384"
	case "ES512":
		return "p521"
	case "EdDSA":
		return "ed"
	}
	if alg[0] == 'H' {
		return "oct"
	}
	return "rsa"
}

// jwk gives the key's public half (of a secret: all of it) as a JWK.
func (k *key) jwk() map[string]any {
	fixed := func(n *big.Int, c elliptic.Curve) string {
		return b64(n.FillBytes(make([]byte, (c.Params().BitSize+7)/8)))
	}
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		return map[string]any{"kty": "RSA", "kid": k.name, "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	case *ecdsa.PrivateKey:
		return map[string]any{"kty": "EC", "kid": k.name, "crv": p.Params().Name, "x": fixed(p.X, p.Curve), "y": fixed(p.Y, p.Curve)}
	case ed25519.PrivateKey:
		return map[string]any{"kty": "OKP", "kid": k.name, "crv": "Ed25519", "x": b64(p.Public().(ed25519.PublicKey))}
	case []byte:
		return map[string]any{"kty": "oct", "kid": k.name, "k": b64(p)}
	}
	panic("a key of no type")
}

// set gives a JWK set.
func set(jwks ...map[string]any) string {
	if jwks == nil {
		jwks = []map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"keys": jwks})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// named gives the key's JWK, changed by pairs of member and value; a nil value
// takes the member away.
func named(name string, changes ...any) map[string]any {
	m := keys()[name].jwk()
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(m, changes[i].(string))
		} else {
			m[changes[i].(string)] = changes[i+1]
		}
	}
	return m
}

// goodKeys is the set of every key that the issuer signs with.
func goodKeys() string {
	return set(named("rsa"), named("p256"), named("p384"), named("p521"), named("oct"), named("ed"))
}

// sign makes the signature of an algorithm, or panics: the key must fit.
func (k *key) sign(alg string, input []byte) []byte {
	digest := map[byte]crypto.Hash{'2': crypto.SHA256, '3': crypto.SHA384, '5': crypto.SHA512}
	var sig []byte
	var err error
	switch p := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input)
	case []byte:
		h := hmac.New(func() hash.Hash { return digest[alg[2]].New() }, p)
		h.Write(input)
		return h.Sum(nil)
	case *rsa.PrivateKey:
		h := digest[alg[2]]
		if alg[0] == 'P' {
			sig, err = rsa.SignPSS(rand.Reader, p, h, sum(h, input), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(nil, p, h, sum(h, input))
		}
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, p, sum(digest[alg[2]], input))
		if e != nil {
			panic(e)
		}
		n := (p.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...)
	}
	if err != nil {
		panic(err)
	}
	return sig
}

func sum(h crypto.Hash, input []byte) []byte {
	d := h.New()
	d.Write(input)
	return d.Sum(nil)
}

func TestKeysSign(t *testing.T) {
	for _, alg := range algorithms {
		if len(keys()[keyOf(alg)].sign(alg, []byte("x"))) == 0 {
			t.Errorf("%s: no signature", alg)
		}
	}
}
