package jose

import "math/big"

// isROCA tells whether a modulus bears the mark of keys made by a faulty library in
// smart cards and TPMs, which can be factored (CVE-2017-15361): modulo each of the
// first primes it is a power of 65537. Of other moduli less than one in 2^100 does.
func isROCA(n *big.Int) bool {
	var m big.Int
	for _, p := range rocaPrimes {
		if !isPower(m.Mod(n, big.NewInt(p)).Int64(), 65537, p) {
			return false
		}
	}
	return true
}

// isPower tells whether v is a power of base modulo the prime p.
func isPower(v, base, p int64) bool {
	for x := int64(1); ; {
		if x == v {
			return true
		}
		if x = x * base % p; x == 1 {
			return false
		}
	}
}

var rocaPrimes = []int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
	101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167}
