package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"math/big"

	"filippo.io/edwards25519"
)

// The verifiers that the standard library has. That of RSA is in rsa.go.

type ecVerifier ecdsa.PublicKey

// verify wants R and S, each as long as the curve's order (RFC 7518, 3.4). The
// standard library refuses those that are zero or not less than the order.
func (v *ecVerifier) verify(a *algorithm, input string, sig []byte) bool {
	size := (v.Params().BitSize + 7) / 8
	if len(sig) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	return ecdsa.Verify((*ecdsa.PublicKey)(v), digest(a.hash, input), r, s)
}

type edVerifier ed25519.PublicKey

func (v edVerifier) verify(_ *algorithm, input string, sig []byte) bool {
	var room [stackInput]byte
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(v), append(room[:0], input...), sig)
}

// checkEd25519 refuses what is no point of the curve, and points of small order:
// under those, one signature verifies for many messages (RFC 8032, 8.4 and 5.1.3).
func checkEd25519(k ed25519.PublicKey) error {
	if len(k) != ed25519.PublicKeySize {
		return fmt.Errorf("Ed25519 key has %d bytes, not %d", len(k), ed25519.PublicKeySize)
	}
	p, err := new(edwards25519.Point).SetBytes(k)
	if err != nil || !bytes.Equal(p.Bytes(), k) {
		return fmt.Errorf("Ed25519 key is not a point of the curve")
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return fmt.Errorf("Ed25519 key is a point of small order")
	}
	return nil
}

// minSecret is the length of the shortest secret that any algorithm takes, in bytes.
const minSecret = sha256.Size

type macVerifier []byte

// verify compares in constant time.
func (v macVerifier) verify(a *algorithm, input string, sig []byte) bool {
	m := hmac.New(a.hash.New, v)
	io.WriteString(m, input)
	return hmac.Equal(m.Sum(nil), sig)
}

// stackInput is how long an input is copied to the stack, in bytes: most tokens.
const stackInput = 2048

func digest(h crypto.Hash, input string) []byte {
	var room [stackInput]byte
	b := append(room[:0], input...)
	switch h {
	case crypto.SHA256:
		d := sha256.Sum256(b)
		return d[:]
	case crypto.SHA384:
		d := sha512.Sum384(b)
		return d[:]
	default:
		d := sha512.Sum512(b)
		return d[:]
	}
}
