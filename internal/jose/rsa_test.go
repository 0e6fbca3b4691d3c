package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"
)

// std is crypto/rsa's verdict.
func std(v *rsaVerifier, a *algorithm, input string, sig []byte) bool {
	sum := digest(a.hash, input)
	if a.pss {
		return rsa.VerifyPSS(v.std, a.hash, sum, sig, pssOptions) == nil
	}
	return rsa.VerifyPKCS1v15(v.std, a.hash, sum, sig) == nil
}

var rsaAlgorithms = []*algorithm{
	algorithms["RS256"], algorithms["RS384"], algorithms["RS512"],
	algorithms["PS256"], algorithms["PS384"], algorithms["PS512"],
}

func rsaVerifierFor(t testing.TB, k *rsa.PrivateKey) *rsaVerifier {
	t.Helper()
	v, err := newRSAVerifier(k.N, k.E)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRSAAgreesWithStandard(t *testing.T) {
	// 2049 to 2055 bits: every place that PSS's first byte can have.
	for _, bits := range []int{2048, 2049, 2050, 2053, 2055, 3072, 4096} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		s := &signers{rsa: key}
		v := rsaVerifierFor(t, key)
		for _, a := range rsaAlgorithms {
			sig := s.sign(t, a, "input")
			for _, other := range rsaAlgorithms {
				got := v.verify(other, "input", sig)
				if want := std(v, other, "input", sig); got != want || got != (a == other) {
					t.Errorf("%d bits, %s as %s: %v, crypto/rsa %v", bits, a.name, other.name, got, want)
				}
			}
			if v.verify(a, "other", sig) {
				t.Errorf("%d bits, %s: another input verifies", bits, a.name)
			}
		}
	}
}

// Encodings that lenient verifiers take: made with the private key, so that only
// the check of the encoding stands between them and acceptance.
func TestRSAForgedEncodings(t *testing.T) {
	key := testSigners().rsa
	v := rsaVerifierFor(t, key)
	a := algorithms["RS256"]
	sum := digest(a.hash, "input")
	info := append(append([]byte{}, digestInfo[a.hash]...), sum...)
	pad := func(head string, n int, tail []byte) []byte {
		em := append([]byte(head), []byte(strings.Repeat("\xff", n))...)
		return append(em, tail...)
	}
	raw := func(em []byte) []byte {
		m := new(big.Int).SetBytes(em)
		return new(big.Int).Exp(m, key.D, key.N).FillBytes(make([]byte, 256))
	}
	zero := append([]byte{0}, info...)
	good := pad("\x00\x01", 256-3-len(info), zero)
	if !v.verify(a, "input", raw(good)) {
		t.Fatal("the right encoding does not verify")
	}
	garbage := append(pad("\x00\x01", 8, zero), make([]byte, 256-2-8-len(zero))...)
	noNull := append([]byte{0, 0x30, 0x2f, 0x30, 0x0b}, digestInfo[a.hash][4:15]...)
	noNull = append(append(noNull, 0x04, 0x20), sum...)
	for name, em := range map[string][]byte{
		"garbage after the digest (Bleichenbacher 2006)": garbage,
		"DigestInfo without NULL":                        pad("\x00\x01", 256-2-len(noNull), noNull),
		"block type 2":                                   pad("\x00\x02", 256-3-len(info), zero),
		"a hole in the padding":                          append(append([]byte{0, 1, 0xfe}, good[3:]...), nil...),
		"digest alone":                                   pad("\x00\x01", 256-3-len(sum), append([]byte{0}, sum...)),
	} {
		if len(em) != 256 {
			t.Fatalf("%s: %d bytes", name, len(em))
		}
		sig := raw(em)
		if v.verify(a, "input", sig) || std(v, a, "input", sig) {
			t.Errorf("%s is accepted", name)
		}
	}
	sig := raw(good)
	plusN := new(big.Int).Add(new(big.Int).SetBytes(sig), key.N)
	for name, s := range map[string][]byte{
		"signature + N": plusN.Bytes(), "leading zero": append([]byte{0}, sig...), "short": sig[1:], "empty": nil,
		"zero": make([]byte, 256), "N": key.N.FillBytes(make([]byte, 256)),
	} {
		if v.verify(a, "input", s) {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A signature that begins with a zero byte has it: without, it is one too short.
func TestRSASignatureLength(t *testing.T) {
	s := testSigners()
	v, a := rsaVerifierFor(t, s.rsa), algorithms["RS256"]
	for i := range 10_000 {
		input := strings.Repeat("x", i)
		sig := s.sign(t, a, input)
		if sig[0] != 0 {
			continue
		}
		if !v.verify(a, input, sig) || v.verify(a, input, sig[1:]) {
			t.Error("its length is not checked")
		}
		return
	}
	t.Error("no signature begins with a zero byte")
}

func TestRSAKeysThatAreRefused(t *testing.T) {
	n := testSigners().rsa.N
	for _, c := range []struct {
		n    *big.Int
		e    int
		want string
	}{
		{new(big.Int).Rsh(n, 1), 65537, "fewer than 2048"},
		{new(big.Int).Lsh(n, 7000), 65537, "more than 8192"},
		{new(big.Int).Add(n, big.NewInt(1)), 65537, "even"},
		{n, 65536, "exponent is even"},
		{n, 1, "less than 3"},
		{n, 0, "less than 3"},
		{n, -3, "less than 3"},
		{n, 1<<32 + 1, "more than 32 bits"},
	} {
		_, err := newRSAVerifier(c.n, c.e)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d bits, e %d: %v, want %q", c.n.BitLen(), c.e, err, c.want)
		}
	}
}

// FuzzRSA holds our verdict against crypto/rsa's, for signatures and for encoded
// messages that are put behind the exponentiation by the private key.
func FuzzRSA(f *testing.F) {
	s := testSigners()
	v := rsaVerifierFor(f, s.rsa)
	for i, a := range rsaAlgorithms {
		sig := s.sign(f, a, "input")
		f.Add(uint8(i), "input", sig, false)
		em := make([]byte, 256)
		v.n.Exp(em, sig, v.e)
		f.Add(uint8(i), "input", em, true)
	}
	f.Fuzz(func(t *testing.T, alg uint8, input string, sig []byte, encoded bool) {
		a := rsaAlgorithms[int(alg)%len(rsaAlgorithms)]
		if encoded {
			m := new(big.Int).SetBytes(sig)
			if m.Cmp(s.rsa.N) >= 0 {
				return
			}
			sig = new(big.Int).Exp(m, s.rsa.D, s.rsa.N).FillBytes(make([]byte, 256))
		}
		if got, want := v.verify(a, input, sig), std(v, a, input, sig); got != want {
			t.Errorf("%s: %v, crypto/rsa says %v", a.name, got, want)
		}
	})
}
