package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claims have the size of a usual access token's.
type claims struct {
	jwt.Claims
	Scope string `json:"scope"`
}

// writeTokens makes n different RS256 tokens of a new key: one a line in `tokens`,
// the key in jwks.json and key.pem.
func (s *site) writeTokens(n int) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private := jose.JSONWebKey{Key: key, KeyID: "bench", Algorithm: string(jose.RS256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: private}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return err
	}
	now := time.Now()
	for i := range n {
		t, err := jwt.Signed(signer).Claims(claims{Scope: "read write", Claims: jwt.Claims{
			Issuer: s.Issuer, Subject: fmt.Sprintf("user-%d", i), ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(24 * time.Hour)),
		}}).Serialize()
		if err != nil {
			return err
		}
		s.tokens = append(s.tokens, t)
	}
	if err := s.write("tokens", []byte(strings.Join(s.tokens, "\n")+"\n")); err != nil {
		return err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		return err
	}
	if err := s.write("jwks.json", set); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return s.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// tamper changes one character in the middle of the signature.
func tamper(token string) string {
	b := []byte(token)
	i := strings.LastIndexByte(token, '.') + 100
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}
