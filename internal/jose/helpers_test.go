package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"os"
	"strings"
	"sync"
	"testing"
)

// signers holds one private key a type, made once for all tests.
type signers struct {
	rsa  *rsa.PrivateKey
	ec   map[string]*ecdsa.PrivateKey
	ed   ed25519.PrivateKey
	hmac []byte
}

var testSigners = sync.OnceValue(func() *signers {
	s := &signers{ec: map[string]*ecdsa.PrivateKey{}, hmac: secret("a secret of 64 bytes")}
	s.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		s.ec[c.Params().Name], _ = ecdsa.GenerateKey(c, rand.Reader)
	}
	_, s.ed, _ = ed25519.GenerateKey(rand.Reader)
	return s
})

// public gives the key that verifies the algorithm.
func (s *signers) public(a *algorithm) any {
	switch a.kty {
	case typeRSA:
		return &s.rsa.PublicKey
	case typeEC:
		return &s.ec[a.crv].PublicKey
	case typeOKP:
		return s.ed.Public()
	}
	return s.hmac
}

func (s *signers) sign(t testing.TB, a *algorithm, input string) []byte {
	t.Helper()
	var sum []byte
	if a.hash != 0 {
		sum = digest(a.hash, input)
	}
	var sig []byte
	var err error
	switch a.kty {
	case typeRSA:
		if a.pss {
			sig, err = rsa.SignPSS(rand.Reader, s.rsa, a.hash, sum, pssOptions)
		} else {
			sig, err = rsa.SignPKCS1v15(nil, s.rsa, a.hash, sum)
		}
	case typeEC:
		k := s.ec[a.crv]
		r, v, e := ecdsa.Sign(rand.Reader, k, sum)
		size := (k.Params().BitSize + 7) / 8
		sig, err = append(r.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size))...), e
	case typeOKP:
		sig, err = s.ed.Sign(nil, []byte(input), crypto.Hash(0))
	case typeOct:
		m := hmac.New(a.hash.New, s.hmac)
		m.Write([]byte(input))
		sig = m.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// token signs header and payload as they are.
func (s *signers) token(t testing.TB, alg Algorithm, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(string(s.sign(t, algorithms[alg], input)))
}

// secret is one of 64 bytes, enough for every algorithm.
func secret(s string) []byte { return []byte(strings.Repeat(s, 64)[:64]) }

func mustKey(t testing.TB, kid string, alg Algorithm, public any) *Key {
	t.Helper()
	k, err := NewKey(kid, alg, public)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func readKeySet(t testing.TB) *KeySet {
	t.Helper()
	s, err := ParseKeySet([]byte(readFile(t, "jwks.json")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge parses and verifies.
func judge(s *KeySet, token string) Kind {
	t, err := Parse(token, 0)
	if err != nil {
		return KindOf(err)
	}
	_, err = s.Verify(t)
	return KindOf(err)
}
