package modexp

import (
	"math/big"
	"math/bits"

	"golang.org/x/sys/cpu"
)

// block is how many words these kernels take at a time.
const block = 8

// adx are kernels of MULX, ADCX and ADOX, for numbers of whole blocks of words.
type adx struct {
	n  []uint64
	k0 uint64 // -1/n mod 2^64
}

// newADX gives nil if the machine lacks what the kernels take.
func newADX(n *big.Int) *montgomery {
	if !cpu.X86.HasBMI2 || !cpu.X86.HasADX {
		return nil
	}
	words := (n.BitLen() + 64*block - 1) / (64 * block) * block
	k := new(adx)
	m := newMontgomery(n, k, uint(64*words), words)
	k.n, k.k0 = m.n, negativeInverse(m.n[0])
	return m
}

func (m *adx) load([]uint64)  {}
func (m *adx) store([]uint64) {}

func (m *adx) multiply(out, a, b, t []uint64) {
	k := len(m.n)
	clear(t)
	for i := 0; i < k; i += block {
		addMul(&t[i], &a[0], &b[i], k/block)
	}
	m.reduce(out, t)
}

// square adds what is there twice to itself.
func (m *adx) square(a, t []uint64) {
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
func (m *adx) reduce(out, t []uint64) {
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

// addMul adds to z the product of x, of n blocks, and y, of one block. z has n+1
// blocks; the carry out of them is the result.
//
//go:noescape
func addMul(z, x, y *uint64, n int) (carry uint64)

// addReduced adds to z that multiple of m, of n blocks, which makes z's lowest block
// zero; k0 is -1/m mod 2^64. z has n+1 blocks, of which the lowest is not written;
// the carry out of them is the result.
//
//go:noescape
func addReduced(z, m *uint64, k0 uint64, n int) (carry uint64)
