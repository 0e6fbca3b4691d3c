package jose

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"math/big"

	"github.com/usher-mesh/usher/internal/jose/modexp"
)

// Bounds of RSA keys, in bits of the modulus.
const (
	minRSABits = 2048
	maxRSABits = modexp.MaxBits
)

// rsaVerifier holds the modulus prepared for exponentiation, which crypto/rsa
// does anew at each call. Only s^e mod N is done by modexp; tests hold the encodings
// against crypto/rsa. In FIPS mode crypto/rsa does it all.
type rsaVerifier struct {
	n    *modexp.Modulus
	e    uint
	bits int
	std  *rsa.PublicKey
}

func newRSAVerifier(n *big.Int, e int) (*rsaVerifier, error) {
	bits := n.BitLen()
	switch {
	case bits < minRSABits:
		return nil, fmt.Errorf("RSA modulus has %d bits, fewer than %d", bits, minRSABits)
	case bits > maxRSABits:
		return nil, fmt.Errorf("RSA modulus has %d bits, more than %d", bits, maxRSABits)
	case n.Bit(0) == 0:
		return nil, fmt.Errorf("RSA modulus is even")
	case e < 3:
		return nil, fmt.Errorf("RSA exponent is less than 3")
	case e&1 == 0:
		return nil, fmt.Errorf("RSA exponent is even")
	case uint64(e) > 1<<32-1:
		return nil, fmt.Errorf("RSA exponent has more than 32 bits")
	case isROCA(n):
		return nil, fmt.Errorf("RSA modulus is one of those that can be factored (CVE-2017-15361)")
	}
	m, err := modexp.New(n)
	if err != nil {
		return nil, fmt.Errorf("RSA modulus: %w", err)
	}
	return &rsaVerifier{n: m, e: uint(e), bits: bits, std: &rsa.PublicKey{N: n, E: e}}, nil
}

func (v *rsaVerifier) verify(a *algorithm, input string, sig []byte) bool {
	sum := digest(a.hash, input)
	if fips140.Enabled() {
		if a.pss {
			return rsa.VerifyPSS(v.std, a.hash, sum, sig, pssOptions) == nil
		}
		return rsa.VerifyPKCS1v15(v.std, a.hash, sum, sig) == nil
	}
	if a.pss {
		em := make([]byte, v.n.Size())
		return v.n.Exp(em, sig, v.e) && verifyPSS(a.hash, sum, em, v.bits-1)
	}
	var room [maxRSABits / 8]byte
	em := room[:v.n.Size()]
	return v.n.Exp(em, sig, v.e) && verifyPKCS1v15(a.hash, sum, em)
}

// pssOptions: the salt is as long as the digest (RFC 7518, 3.5).
var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

// digestInfo is the DER before the digest (RFC 8017, 9.2, note 1).
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// verifyPKCS1v15 compares em with the one encoding that is right, and parses nothing
// of it (RFC 8017, 8.2.2): 00 01 FF..FF 00 DigestInfo digest.
func verifyPKCS1v15(h crypto.Hash, sum, em []byte) bool {
	t := digestInfo[h]
	pad := len(em) - 3 - len(t) - len(sum)
	if t == nil || pad < 8 {
		return false
	}
	var room [maxRSABits / 8]byte
	want := append(room[:0], 0, 1)
	want = append(want, ones[:pad]...)
	want = append(want, 0)
	want = append(want, t...)
	return bytes.Equal(append(want, sum...), em)
}

// ones are the padding of the longest modulus.
var ones = bytes.Repeat([]byte{0xff}, maxRSABits/8)

// verifyPSS is EMSA-PSS-VERIFY (RFC 8017, 9.1.2) with MGF1 of the same hash and
// a salt as long as the digest. It changes em.
func verifyPSS(h crypto.Hash, sum, em []byte, emBits int) bool {
	hLen := h.Size()
	if emLen := (emBits + 7) / 8; len(em) > emLen {
		if em[0] != 0 {
			return false
		}
		em = em[1:]
	}
	if len(em) < 2*hLen+2 || em[len(em)-1] != 0xbc {
		return false
	}
	db, want := em[:len(em)-hLen-1], em[len(em)-hLen-1:len(em)-1]
	mask := byte(0xff) >> (8*len(em) - emBits)
	if db[0]&^mask != 0 {
		return false
	}
	mgf1XOR(db, h, want)
	db[0] &= mask
	salt := db[len(db)-hLen:]
	lead := db[:len(db)-hLen]
	for _, b := range lead[:len(lead)-1] {
		if b != 0 {
			return false
		}
	}
	if lead[len(lead)-1] != 1 {
		return false
	}
	d := h.New()
	d.Write(make([]byte, 8))
	d.Write(sum)
	d.Write(salt)
	return subtle.ConstantTimeCompare(d.Sum(nil), want) == 1
}

// mgf1XOR masks out with MGF1 of seed (RFC 8017, B.2.1).
func mgf1XOR(out []byte, h crypto.Hash, seed []byte) {
	var counter [4]byte
	d := h.New()
	for len(out) > 0 {
		d.Reset()
		d.Write(seed)
		d.Write(counter[:])
		b := d.Sum(nil)
		out = out[subtle.XORBytes(out, out, b):]
		counter[3]++
	}
}
