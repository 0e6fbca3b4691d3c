package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// parseJWK makes a key of one JSON Web Key (RFC 7517, 4; RFC 7518, 6). The error
// is the reason to skip it. A kid or alg that is not text counts as absent.
func parseJWK(m jsondoc.Value) (*Key, error) {
	kid, _ := m.Get("kid").Text()
	alg, _ := m.Get("alg").Text()
	if err := checkPurpose(m); err != nil {
		return nil, err
	}
	public, err := jwkMaterial(m)
	if err != nil {
		return nil, err
	}
	if err := checkX5C(m.Get("x5c"), public); err != nil {
		return nil, err
	}
	return NewKey(kid, Algorithm(alg), public)
}

// checkPurpose judges use (RFC 7517, 4.2) and key_ops (4.3): who publishes either
// says what the key is for. Null and the empty list, which some issuers write for
// what they do not set, say nothing.
func checkPurpose(m jsondoc.Value) error {
	switch use, isText := m.Get("use").Text(); {
	case isText:
		if use == "enc" {
			return fmt.Errorf("use is enc: it is for encryption only")
		}
		if use != "sig" {
			return fmt.Errorf("use is %s, not sig", shown(use))
		}
	case !unset(m.Get("use")):
		return fmt.Errorf("use is not text")
	}
	ops := m.Get("key_ops")
	if unset(ops) {
		return nil
	}
	if ops.Kind() != jsondoc.Array {
		return fmt.Errorf("key_ops is not a list")
	}
	for _, op := range ops.All() {
		if s, _ := op.Text(); s == "verify" {
			return nil
		}
	}
	if ops.Len() > 0 {
		return fmt.Errorf("key_ops has no verify")
	}
	return nil
}

// unset tells whether a member says nothing.
func unset(v jsondoc.Value) bool { return v.Kind() == jsondoc.Absent || v.Kind() == jsondoc.Null }

func jwkMaterial(m jsondoc.Value) (any, error) {
	kty, ok := m.Get("kty").Text()
	if !ok {
		return nil, fmt.Errorf("kty is missing or not text")
	}
	switch keyType(kty) {
	case typeRSA:
		return jwkRSA(m)
	case typeEC:
		return jwkEC(m)
	case typeOKP:
		if crv, _ := m.Get("crv").Text(); crv != "Ed25519" {
			return nil, fmt.Errorf("crv is not Ed25519")
		}
		x, err := member(m, "x")
		return ed25519.PublicKey(x), err
	case typeOct:
		return member(m, "k")
	}
	return nil, fmt.Errorf("kty %s is not supported", shown(kty))
}

func jwkRSA(m jsondoc.Value) (any, error) {
	n, err := member(m, "n")
	if err != nil {
		return nil, err
	}
	e, err := member(m, "e")
	if err != nil {
		return nil, err
	}
	exp := new(big.Int).SetBytes(e)
	if exp.BitLen() > 32 {
		return nil, fmt.Errorf("RSA exponent has more than 32 bits")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())}, nil
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func jwkEC(m jsondoc.Value) (any, error) {
	crv, _ := m.Get("crv").Text()
	c := curves[crv]
	if c == nil {
		return nil, fmt.Errorf("crv is none of P-256, P-384, P-521")
	}
	size := (c.Params().BitSize + 7) / 8
	point := []byte{4} // uncompressed: SEC 1, 2.3.3
	for _, name := range []string{"x", "y"} {
		v, err := member(m, name)
		if err != nil {
			return nil, err
		}
		if len(v) > size {
			return nil, fmt.Errorf("%s has %d bytes, more than the %d of %s", name, len(v), size, crv)
		}
		point = append(point, make([]byte, size-len(v))...)
		point = append(point, v...)
	}
	p, err := ecdsa.ParseUncompressedPublicKey(c, point)
	if err != nil {
		return nil, fmt.Errorf("the point is not on curve %s", crv)
	}
	return p, nil
}

// member decodes a base64url member. Padding, which some issuers write, is let go.
func member(m jsondoc.Value, name string) ([]byte, error) {
	s, ok := m.Get(name).Text()
	if !ok || s == "" {
		return nil, fmt.Errorf("%s is missing or not text", name)
	}
	b, ok := decode64Strict(strings.TrimRight(s, "="))
	if !ok {
		return nil, fmt.Errorf("%s is not base64url", name)
	}
	return b, nil
}

// checkX5C compares the key of the first certificate, if there is one, with the
// key itself (RFC 7517, 4.7). The chain is not judged: nothing is trusted for it.
func checkX5C(x5c jsondoc.Value, public any) error {
	if unset(x5c) {
		return nil
	}
	if x5c.Kind() != jsondoc.Array {
		return fmt.Errorf("x5c is not a list")
	}
	for _, first := range x5c.All() {
		return checkCertificate(first, public)
	}
	return nil
}

func checkCertificate(x5c jsondoc.Value, public any) error {
	first, _ := x5c.Text()
	der, err := base64.StdEncoding.DecodeString(first)
	if err != nil {
		return fmt.Errorf("x5c[0] is not base64")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("x5c[0] is not a certificate")
	}
	if !samePublic(cert.PublicKey, public) {
		return fmt.Errorf("the certificate in x5c has another key")
	}
	return nil
}

func samePublic(a, b any) bool {
	x, err := x509.MarshalPKIXPublicKey(a)
	if err != nil {
		return false
	}
	y, err := x509.MarshalPKIXPublicKey(b)
	return err == nil && bytes.Equal(x, y)
}
