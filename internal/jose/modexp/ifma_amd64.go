package modexp

import (
	"math/big"

	"golang.org/x/sys/cpu"
)

// Numbers as digits of 52 bits, which VPMADD52 multiplies eight at a time, as many as five
// registers hold: room for a modulus of 2048 bits, which most keys have.
const (
	digitBits = 52
	digits    = 40
	digitMask = 1<<digitBits - 1
)

// ifma are kernels of AVX-512 IFMA. R is 2^2080 and at least four times n, so that what
// is less than 2n stays so without a subtraction (C. D. Walter, "Montgomery's
// Multiplication Technique: How to Make It Smaller and Faster", 1999).
type ifma struct {
	n  [digits]uint64
	k0 uint64 // -1/n mod 2^64
}

// newIFMA gives nil if the machine lacks what the kernels take, or n is too large.
func newIFMA(n *big.Int) *montgomery {
	if !cpu.X86.HasAVX512F || !cpu.X86.HasAVX512IFMA || n.BitLen() > digits*digitBits-2 {
		return nil
	}
	k := new(ifma)
	m := newMontgomery(n, k, digits*digitBits, digits)
	copy(k.n[:], m.n)
	k.load(k.n[:])
	k.k0 = negativeInverse(m.n[0])
	return m
}

func (m *ifma) load(a []uint64) {
	for i := digits - 1; i >= 0; i-- {
		word, from := i*digitBits/64, uint(i*digitBits%64)
		d := a[word] >> from
		if from > 64-digitBits {
			d |= a[word+1] << (64 - from)
		}
		a[i] = d & digitMask
	}
}

func (m *ifma) store(a []uint64) {
	to, word, have := 0, uint64(0), 0
	for _, d := range a[:digits] {
		word |= d << have
		if have += digitBits; have >= 64 {
			have -= 64
			a[to], word = word, d>>(digitBits-have)
			to++
		}
	}
	a[to] = word
	clear(a[to+1:])
}

func (m *ifma) multiply(out, a, b, _ []uint64) {
	multiply52((*[digits]uint64)(out), (*[digits]uint64)(a), (*[digits]uint64)(b), &m.n, m.k0)
}

func (m *ifma) square(a, t []uint64) { m.multiply(a, a, a, t) }

// multiply52 sets out to ab/2^2080 mod n, less than 2n if a and b are; k0 is -1/n mod 2^52,
// with anything above.
//
//go:noescape
func multiply52(out, a, b, n *[digits]uint64, k0 uint64)
