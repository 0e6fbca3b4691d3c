// Package modexp raises numbers to short powers modulo an odd number that was
// prepared once: what the check of an RSA signature takes. Everything in it is
// public, so time may depend on it. It knows no encoding and no key.
package modexp

import (
	"errors"
	"math/big"

	"filippo.io/bigmod"
)

// MaxBits is the size of the largest modulus.
const MaxBits = 8192

// Modulus is an odd number, prepared for Exp. It is immutable and safe for
// concurrent use.
type Modulus struct {
	size int         // bytes
	fast *montgomery // nil if there are no kernels for this machine
	slow *bigmod.Modulus
}

// New prepares n: odd, more than 1, of at most MaxBits.
func New(n *big.Int) (*Modulus, error) {
	if n.Sign() <= 0 || n.Bit(0) == 0 || n.BitLen() < 2 || n.BitLen() > MaxBits {
		return nil, errors.New("a modulus is odd, more than 1 and not too long")
	}
	m := &Modulus{size: (n.BitLen() + 7) / 8, fast: fastest(n)}
	var err error
	if m.fast == nil {
		m.slow, err = bigmod.NewModulus(n.Bytes())
	}
	return m, err
}

// Size is the length of the modulus in bytes.
func (m *Modulus) Size() int { return m.size }

// Exp writes x^e mod n to out, which has Size bytes, as x has: big-endian. It is
// false if x is not less than n. e is at least 1.
func (m *Modulus) Exp(out, x []byte, e uint) bool {
	switch {
	case len(x) != m.size:
		return false
	case m.fast != nil:
		return m.fast.exp(out[:m.size], x, e)
	}
	base, err := bigmod.NewNat().SetBytes(x, m.slow)
	if err != nil {
		return false
	}
	copy(out, bigmod.NewNat().ExpShortVarTime(base, e, m.slow).Bytes(m.slow))
	return true
}
