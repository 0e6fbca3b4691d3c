package jose

import (
	"testing"
	"time"
)

var benchAlgorithms = []Algorithm{"RS256", "PS256", "ES256", "EdDSA", "HS256"}

const benchClaims = `{"iss":"testing@secure.istio.io","sub":"testing@secure.istio.io","aud":["a","b"],"exp":4685989700,"iat":1532389700,"scope":"x y z"}`

// BenchmarkVerify parses and verifies a token that was never seen.
func BenchmarkVerify(b *testing.B) {
	s := testSigners()
	for _, name := range benchAlgorithms {
		b.Run(string(name), func(b *testing.B) {
			token := s.token(b, name, `{"alg":"`+string(name)+`","kid":"k","typ":"JWT"}`, benchClaims)
			keys := NewKeySet(mustKey(b, "k", "", s.public(algorithms[name])))
			b.ReportAllocs()
			for b.Loop() {
				if judge(keys, token) != OK {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkPrimitive is the signature alone: for RSA the exponentiation with the
// prepared modulus, else the standard library's call.
func BenchmarkPrimitive(b *testing.B) {
	s := testSigners()
	for _, name := range benchAlgorithms {
		b.Run(string(name), func(b *testing.B) {
			a := algorithms[name]
			k := mustKey(b, "k", "", s.public(a))
			sig := s.sign(b, a, "input")
			v, isRSA := k.check.(*rsaVerifier)
			b.ReportAllocs()
			for b.Loop() {
				if isRSA {
					v.open(sig)
				} else {
					k.check.verify(a, []byte("input"), sig)
				}
			}
		})
	}
}

func BenchmarkCacheHit(b *testing.B) {
	key := mustKey(b, "a", "", secret("a"))
	set := NewKeySet(key)
	c := NewCache[int](1000, 1<<20, 4096)
	token, now := readFile(b, "valid.jwt"), time.Unix(1000, 0)
	c.Put(token, 7, 0, key, now.Add(time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(token, set, now); !ok {
			b.Fatal("missed")
		}
	}
}
