package modexp

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"filippo.io/bigmod"
)

// check holds Exp against math/big, each way there is on this machine.
func check(t *testing.T, n, x *big.Int, e uint) {
	t.Helper()
	want := new(big.Int).Exp(x, new(big.Int).SetUint64(uint64(e)), n)
	for way, m := range ways(t, n) {
		in, out := x.FillBytes(make([]byte, m.Size())), make([]byte, m.Size())
		if !m.Exp(out, in, e) {
			t.Fatalf("%s: %x is not taken modulo %x", way, x, n)
		}
		if got := new(big.Int).SetBytes(out); got.Cmp(want) != 0 {
			t.Fatalf("%s: %x^%d mod %x is %x, want %x", way, x, e, n, got, want)
		}
	}
}

// ways prepares n as New does, for each kind of kernels that this machine has, and without.
func ways(t testing.TB, n *big.Int) map[string]*Modulus {
	t.Helper()
	m, err := New(n)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := bigmod.NewModulus(n.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Modulus{"New": m, "portable": {size: m.size, slow: slow}}
	for name, fast := range kinds(n) {
		if fast != nil {
			all[name] = &Modulus{size: m.size, fast: fast}
		}
	}
	return all
}

// edged gives numbers of some bits whose words are often all zeros or all ones:
// there carries go wrong.
func edged(bits int) *big.Int {
	n := new(big.Int)
	for i := 0; i < bits; i += 64 {
		w := rand.Uint64()
		switch rand.N(4) {
		case 0:
			w = 0
		case 1:
			w = ^uint64(0)
		case 2:
			w = 1 << rand.N(64)
		}
		n.Or(n.Lsh(n, 64), new(big.Int).SetUint64(w))
	}
	n.SetBit(n, bits-1, 1)
	return n.Rsh(n, uint(n.BitLen()-bits))
}

func TestExpAgreesWithBig(t *testing.T) {
	exponents := []uint{65537, 65537, 3, 17, 1, 2, 4, 5, 6, 1<<32 - 1, 1 << 31, 65535}
	sizes := []int{2, 3, 63, 64, 65, 511, 512, 513, 1024, 2047, 2048, 2049, 2055, 2078, 2079, 2080, 3072, 4095, 4096, 4097, 8191, 8192}
	one := big.NewInt(1)
	for _, bits := range sizes {
		for i := range 40 {
			n := edged(bits)
			n.SetBit(n, 0, 1)
			if i == 0 {
				n.Sub(n.Lsh(one, uint(bits)), one) // all ones
			}
			e := exponents[rand.N(len(exponents))]
			for _, x := range []*big.Int{
				new(big.Int).Mod(edged(bits+64), n), new(big.Int), big.NewInt(1), new(big.Int).Sub(n, one), new(big.Int).Rsh(n, 1),
			} {
				check(t, n, x, e)
			}
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, n := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(4), big.NewInt(-3), new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), MaxBits), big.NewInt(1))} {
		if _, err := New(n); err == nil {
			t.Errorf("%x is taken for a modulus", n)
		}
	}
	n := edged(2048)
	n.SetBit(n, 0, 1)
	out := make([]byte, (n.BitLen()+7)/8)
	for name, x := range map[string][]byte{
		"n": n.Bytes(), "short": make([]byte, 255), "long": make([]byte, 257), "none": nil,
		"n+1": new(big.Int).Add(n, big.NewInt(1)).Bytes(),
	} {
		for way, m := range ways(t, n) {
			if m.Exp(out, x, 3) {
				t.Errorf("%s: %s is taken", way, name)
			}
		}
	}
}

func TestExpAllocatesNothing(t *testing.T) {
	n := edged(2048)
	n.SetBit(n, 0, 1)
	for way, m := range ways(t, n) {
		if m.fast == nil {
			continue // bigmod allocates
		}
		x, out := make([]byte, m.Size()), make([]byte, m.Size())
		x[200] = 77
		if k := testing.AllocsPerRun(10, func() { m.Exp(out, x, 65537) }); k > 0 {
			t.Errorf("%s: %v allocations", way, k)
		}
	}
}

func FuzzExp(f *testing.F) {
	f.Add([]byte{5}, []byte{3}, uint32(65537))
	f.Add(edged(2048).Bytes(), edged(2000).Bytes(), uint32(65537))
	f.Add(edged(4096).Bytes(), edged(4090).Bytes(), uint32(3))
	f.Fuzz(func(t *testing.T, modulus, base []byte, e uint32) {
		n, x := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(base)
		n.SetBit(n, 0, 1)
		if n.BitLen() < 2 || n.BitLen() > MaxBits || e == 0 {
			return
		}
		check(t, n, x.Mod(x, n), uint(e))
	})
}

func BenchmarkExp(b *testing.B) {
	for _, bits := range []int{2048, 3072, 4096} {
		n := edged(bits)
		n.SetBit(n, 0, 1)
		for way, m := range ways(b, n) {
			x, out := make([]byte, m.Size()), make([]byte, m.Size())
			edged(bits - 1).FillBytes(x)
			b.Run(fmt.Sprintf("%d/%s", bits, way), func(b *testing.B) {
				for b.Loop() {
					m.Exp(out, x, 65537)
				}
			})
		}
	}
}
