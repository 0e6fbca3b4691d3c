package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
)

// Key is one key that verifies signatures. It is immutable and safe for
// concurrent use. Printing it shows no secret.
type Key struct {
	kid   string
	alg   Algorithm // the one it is bound to, or ""
	kty   keyType
	crv   string
	bits  int
	print [sha256.Size]byte
	check verifier
}

// verifier checks one signature over input. The algorithm fits the key's type.
type verifier interface {
	verify(a *algorithm, input string, sig []byte) bool
}

// ID is the key's kid, or "".
func (k *Key) ID() string { return k.kid }

// Algorithm is the one that the key is bound to by its alg, or "".
func (k *Key) Algorithm() Algorithm { return k.alg }

// String tells type, size and kid.
func (k *Key) String() string {
	s := fmt.Sprintf("%s-%d", k.kty, k.bits)
	if k.crv != "" {
		s = k.crv
	}
	if k.kid != "" {
		s += " " + shown(k.kid)
	}
	return s
}

// GoString is String, so that %#v shows no secret.
func (k *Key) GoString() string { return k.String() }

// Format is String for every verb.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// fits tells whether the key's type and curve are those of the algorithm, and a
// secret is at least as long as the digest (RFC 7518, 3.2).
func (k *Key) fits(a *algorithm) bool {
	return k.kty == a.kty && k.crv == a.crv && (k.kty != typeOct || k.bits >= 8*a.hash.Size())
}

// Verify tells whether sig is the key's signature over input by the algorithm. It
// is false for an algorithm that is unknown, not for keys of this type, or another
// than the one that the key is bound to.
func (k *Key) Verify(alg Algorithm, input string, sig []byte) bool {
	a := algorithms[alg]
	return a != nil && k.allows(alg) && k.fits(a) && k.check.verify(a, input, sig)
}

// allows tells whether the key is bound to this algorithm, or to none.
func (k *Key) allows(alg Algorithm) bool { return k.alg == "" || k.alg == alg }

// NewKey makes a key of an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey,
// or of a secret ([]byte) for HMAC. The error is the reason why it must not be used.
func NewKey(kid string, alg Algorithm, public any) (*Key, error) {
	k := &Key{kid: kid, alg: alg}
	var material []byte
	switch p := public.(type) {
	case *rsa.PublicKey:
		v, err := newRSAVerifier(p.N, p.E)
		if err != nil {
			return nil, err
		}
		k.kty, k.bits, k.check = typeRSA, p.N.BitLen(), v
		material = fmt.Appendf(nil, "%x.%x", p.N, p.E)
	case *ecdsa.PublicKey:
		b, err := p.Bytes() // fails for a point off the curve
		if err != nil {
			return nil, fmt.Errorf("EC point: %w", err)
		}
		switch p.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return nil, fmt.Errorf("EC curve is none of P-256, P-384, P-521")
		}
		k.kty, k.crv, k.bits = typeEC, p.Curve.Params().Name, p.Curve.Params().BitSize
		k.check, material = (*ecVerifier)(p), b
	case ed25519.PublicKey:
		if err := checkEd25519(p); err != nil {
			return nil, err
		}
		k.kty, k.crv, k.bits, k.check, material = typeOKP, "Ed25519", 256, edVerifier(p), p
	case []byte:
		if len(p) < minSecret {
			return nil, fmt.Errorf("the secret has %d bytes, fewer than %d", len(p), minSecret)
		}
		k.kty, k.bits, k.check, material = typeOct, 8*len(p), macVerifier(p), p
	default:
		return nil, fmt.Errorf("a key of type %T verifies nothing", public)
	}
	if a := algorithms[alg]; alg != "" && (a == nil || !k.fits(a)) {
		return nil, fmt.Errorf("alg %s does not go with a key of type %s", shown(string(alg)), k)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q ", k.kty, k.crv, alg, kid)
	h.Write(material)
	h.Sum(k.print[:0])
	return k, nil
}
