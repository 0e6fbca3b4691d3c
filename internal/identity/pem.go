package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParseCertificates reads PEM certificates, at least one; other blocks and text
// that is not PEM are errors.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			break
		}
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return nil, fmt.Errorf("text after certificate %d is not PEM", len(out))
		}
		if b.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %d is not a certificate but %q", len(out)+1, b.Type)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, ErrNoCertificate
	}
	return out, nil
}

// EncodeCertificates is the reverse of ParseCertificates.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes all
	}
	return out.Bytes()
}

// ParseKey reads one PEM private key: PKCS #8, PKCS #1 or SEC 1.
func ParseKey(text []byte) (crypto.Signer, error) {
	b, rest := pem.Decode(text)
	if b == nil {
		return nil, errors.New("private key is not PEM")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("text after the private key")
	}
	var k any
	var err error
	switch b.Type {
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		k, err = x509.ParseECPrivateKey(b.Bytes)
	default:
		return nil, fmt.Errorf("PEM block is not a private key but %q", b.Type)
	}
	if err != nil {
		// The parsers' texts could quote what they read.
		return nil, errors.New("private key cannot be read")
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, errors.New("private key cannot sign")
	}
	return s, nil
}

// EncodeKey is the reverse of ParseKey, as PKCS #8.
func EncodeKey(k crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// CheckKey refuses public keys that no certificate of the mesh may have: others
// than RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519.
func CheckKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 8192 {
			return fmt.Errorf("RSA key has %d bits, not 2048 to 8192", n)
		}
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < 256 {
			return fmt.Errorf("elliptic curve has %d bits, fewer than 256", n)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("keys of type %T are not accepted", pub)
	}
	return nil
}

// sameKey tells whether both are the same public key.
func sameKey(a, b crypto.PublicKey) bool {
	e, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && e.Equal(b)
}

// TLSCertificate joins a chain (leaf first) and its key to what crypto/tls wants.
// Roots are left out: the peer has them, or must not take them from us.
func TLSCertificate(chain []*x509.Certificate, key crypto.Signer) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, ErrNoCertificate
	}
	if !sameKey(chain[0].PublicKey, key.Public()) {
		return nil, errors.New("the certificate is not of our key")
	}
	t := &tls.Certificate{PrivateKey: key, Leaf: chain[0], Certificate: [][]byte{chain[0].Raw}}
	for _, c := range chain[1:] {
		if !bytes.Equal(c.RawIssuer, c.RawSubject) {
			t.Certificate = append(t.Certificate, c.Raw)
		}
	}
	return t, nil
}
