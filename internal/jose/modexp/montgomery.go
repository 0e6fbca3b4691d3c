package modexp

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"sync"
)

// maxWords is how many words the largest modulus has.
const maxWords = MaxBits / 64

// montgomery are numbers modulo n (P. Montgomery, "Modular Multiplication Without Trial
// Division", 1985): words, the least significant first, which kernels multiply in a form
// of their own.
type montgomery struct {
	n       []uint64 // as many words as the form has
	rr      []uint64 // R^2 mod n, in the kernels' form
	kernels kernels
}

// kernels multiply numbers less than R, for whose form there are as many words of room as
// n has. R is a power of two, more than n.
type kernels interface {
	// load brings words into the kernels' form, store takes them out of it.
	load(a []uint64)
	store(a []uint64)
	// multiply sets out to ab/R mod n, less than R but not always less than n; out may be
	// a or b. There are twice the words of n in t.
	multiply(out, a, b, t []uint64)
	// square is multiply(a, a, a, t).
	square(a, t []uint64)
}

// newMontgomery prepares n for kernels whose R has some bits, and whose form some words.
func newMontgomery(n *big.Int, k kernels, r uint, words int) *montgomery {
	rr := new(big.Int).Lsh(big.NewInt(1), 2*r)
	m := &montgomery{n: make([]uint64, words), rr: make([]uint64, words), kernels: k}
	setBytes(m.n, n.Bytes())
	setBytes(m.rr, rr.Mod(rr, n).Bytes())
	k.load(m.rr)
	return m
}

// negativeInverse is -1/n mod 2^64, for an odd n.
func negativeInverse(n uint64) uint64 {
	// Newton's iteration: each step doubles the bits that are right, 3 at first.
	inv := n
	for range 5 {
		inv *= 2 - n*inv
	}
	return -inv
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
	m.kernels.load(plain)
	m.kernels.multiply(base, plain, m.rr, t) // xR
	copy(a, base)
	i := bits.Len(e) - 2
	for ; i > 0; i-- {
		m.kernels.square(a, t)
		if e>>i&1 == 1 {
			m.kernels.multiply(a, a, base, t)
		}
	}
	if i == 0 {
		m.kernels.square(a, t)
	}
	// The last factor, x or 1, is not multiplied by R, so that it takes R out.
	if i < 0 || e&1 == 0 {
		clear(plain)
		plain[0] = 1
	}
	m.kernels.multiply(a, a, plain, t)
	m.kernels.store(a)
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
