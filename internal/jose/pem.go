package jose

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParsePEM makes keys of the PEM blocks PUBLIC KEY, RSA PUBLIC KEY and
// CERTIFICATE, in their order. They have no kid and are bound to no algorithm
// but that of their type. Any other block is an error, a private key above all.
func ParsePEM(data []byte) ([]*Key, error) {
	var keys []*Key
	for n := 1; ; n++ {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		public, err := pemPublic(b)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		k, err := NewKey("", "", public)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no PEM block with a public key")
	}
	return keys, nil
}

// certificateKey makes a key of the first PEM block, a certificate.
func certificateKey(kid, text string) (*Key, error) {
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		return nil, fmt.Errorf("not PEM")
	}
	public, err := pemPublic(b)
	if err != nil {
		return nil, err
	}
	return NewKey(kid, "", public)
}

func pemPublic(b *pem.Block) (any, error) {
	switch b.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(b.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(b.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, fmt.Errorf("%s is not a public key", shown(b.Type))
}
