package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
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
	verify(a *algorithm, input, sig []byte) bool
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

// fits tells whether the key's type and curve are those of the algorithm.
func (k *Key) fits(a *algorithm) bool { return k.kty == a.kty && k.crv == a.crv }

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
		if len(p) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("Ed25519 key has %d bytes, not %d", len(p), ed25519.PublicKeySize)
		}
		k.kty, k.crv, k.bits, k.check, material = typeOKP, "Ed25519", 256, edVerifier(p), p
	case []byte:
		if len(p) == 0 {
			return nil, fmt.Errorf("the secret is empty")
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

type ecVerifier ecdsa.PublicKey

// verify wants R and S, each as long as the curve's order (RFC 7518, 3.4).
func (v *ecVerifier) verify(a *algorithm, input, sig []byte) bool {
	size := (v.Params().BitSize + 7) / 8
	if len(sig) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	return ecdsa.Verify((*ecdsa.PublicKey)(v), digest(a.hash, input), r, s)
}

type edVerifier ed25519.PublicKey

func (v edVerifier) verify(_ *algorithm, input, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(v), input, sig)
}

type macVerifier []byte

// verify compares in constant time.
func (v macVerifier) verify(a *algorithm, input, sig []byte) bool {
	m := hmac.New(a.hash.New, v)
	m.Write(input)
	return hmac.Equal(m.Sum(nil), sig)
}

func digest(h crypto.Hash, input []byte) []byte {
	d := h.New()
	d.Write(input)
	return d.Sum(nil)
}
