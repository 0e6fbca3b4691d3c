package modexp

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"sync"

	"golang.org/x/sys/cpu"
)

// block is how many words the kernels take at a time, maxWords how many words the
// largest modulus has.
const (
	block    = 8
	maxWords = MaxBits / 64
)

// montgomery are numbers modulo n as words, the least significant first, as many as
// whole blocks take; R is 2 to the power of their bits (P. Montgomery, "Modular
// Multiplication Without Trial Division", 1985).
type montgomery struct {
	n  []uint64
	rr []uint64 // R^2 mod n
	k0 uint64   // -1/n mod 2^64
}

// newMontgomery gives nil if the machine lacks what the kernels take.
func newMontgomery(n *big.Int) *montgomery {
	if !cpu.X86.HasBMI2 || !cpu.X86.HasADX {
		return nil
	}
	words := (n.BitLen() + 64*block - 1) / (64 * block) * block
	rr := new(big.Int).Lsh(big.NewInt(1), uint(2*64*words))
	m := &montgomery{n: make([]uint64, words), rr: make([]uint64, words)}
	setBytes(m.n, n.Bytes())
	setBytes(m.rr, rr.Mod(rr, n).Bytes())
	// Newton's iteration: each step doubles the bits that are right, 3 at first.
	inv := m.n[0]
	for range 5 {
		inv *= 2 - m.n[0]*inv
	}
	m.k0 = -inv
	return m
}

// exp sets out to x^e, both as long as the modulus. It is false if x is not less than
// that.
func (m *montgomery) exp(out, x []byte, e uint) bool {
	k := len(m.n)
	room := rooms.Get().(*room)
	defer rooms.Put(room)
	plain, base, a, t := room.plain[:k], room.base[:k], room.a[:k], room.t[:2*k]
	if setBytes(plain, x); !less(plain, m.n) {
		return false
	}
	m.multiply(base, plain, m.rr, t) // xR
	copy(a, base)
	i := bits.Len(e) - 2
	for ; i > 0; i-- {
		m.square(a, t)
		if e>>i&1 == 1 {
			m.multiply(a, a, base, t)
		}
	}
	if i == 0 {
		m.square(a, t)
	}
	// The last factor, x or 1, is not multiplied by R, so that it takes R out.
	if i < 0 || e&1 == 0 {
		clear(plain)
		plain[0] = 1
	}
	m.multiply(a, a, plain, t)
	if !less(a, m.n) { // it is less than 2n, since the last factor is less than n
		subtract(a, m.n)
	}
	putBytes(out, a)
	return true
}

// room is what exp works in, for the largest modulus.
type room struct {
	plain, base, a [maxWords]uint64
	t              [2 * maxWords]uint64
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// multiply sets out to ab/R mod n, less than R but not always less than n. Factors
// are less than R.
func (m *montgomery) multiply(out, a, b, t []uint64) {
	k := len(m.n)
	clear(t)
	for i := 0; i < k; i += block {
		addMul(&t[i], &a[0], &b[i], k/block)
	}
	m.reduce(out, t)
}

// square is multiply(a, a, a), with what is there twice added to itself.
func (m *montgomery) square(a, t []uint64) {
	k := len(m.n)
	clear(t)
	for i := 0; i+block < k; i += block {
		addMul(&t[2*i+block], &a[i+block], &a[i], (k-i)/block-1)
	}
	double(t)
	carry := uint64(0)
	for i := 0; i < k; i += block {
		carry = addTo(t[2*i:2*i+2*block], carry) + addMul(&t[2*i], &a[i], &a[i], 1)
	}
	m.reduce(a, t)
}

// reduce sets out to t/R mod n, less than R.
func (m *montgomery) reduce(out, t []uint64) {
	k := len(m.n)
	carry := uint64(0)
	for i := 0; i < k; i += block {
		high := t[i+k : i+k+block]
		carry = addTo(high, carry) + addReduced(&t[i], &m.n[0], m.k0, k/block)
	}
	copy(out, t[k:2*k])
	if carry != 0 {
		subtract(out, m.n)
	}
}

// addTo adds a carry to a and gives what does not fit.
func addTo(a []uint64, carry uint64) uint64 {
	for i := 0; carry != 0 && i < len(a); i++ {
		a[i], carry = bits.Add64(a[i], carry, 0)
	}
	return carry
}

// double doubles a, whose highest bit is 0.
func double(a []uint64) {
	low := uint64(0)
	for ; len(a) >= block; a = a[block:] {
		b := (*[block]uint64)(a)
		for i, w := range b {
			b[i] = w<<1 | low
			low = w >> 63
		}
	}
}

// subtract subtracts b from a, of the same length; what is borrowed is dropped.
func subtract(a, b []uint64) {
	borrow := uint64(0)
	for i, w := range a {
		a[i], borrow = bits.Sub64(w, b[i], borrow)
	}
}

// less tells whether a is less than b, of the same length.
func less(a, b []uint64) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// setBytes sets a to a big-endian number, which fits.
func setBytes(a []uint64, b []byte) {
	clear(a)
	i := 0
	for ; len(b) >= 8; i++ {
		a[i] = binary.BigEndian.Uint64(b[len(b)-8:])
		b = b[:len(b)-8]
	}
	for _, c := range b {
		a[i] = a[i]<<8 | uint64(c)
	}
}

// putBytes writes a as a big-endian number to b, in which it fits.
func putBytes(b []byte, a []uint64) {
	i := 0
	for ; len(b) >= 8; i++ {
		binary.BigEndian.PutUint64(b[len(b)-8:], a[i])
		b = b[:len(b)-8]
	}
	for j := range b {
		b[len(b)-1-j] = byte(a[i] >> (8 * j))
	}
}
