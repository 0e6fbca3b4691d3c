package jose

import "testing"

const benchClaims = `{"iss":"testing@secure.istio.io","sub":"testing@secure.istio.io","aud":["a","b"],"exp":4685989700,"iat":1532389700,"scope":"x y z"}`

// BenchmarkVerify parses and verifies a token that was never seen. Comparisons with
// the bare primitives and with other libraries are in test/jose.
func BenchmarkVerify(b *testing.B) {
	s := testSigners()
	for name, a := range algorithms {
		b.Run(string(name), func(b *testing.B) {
			token := s.token(b, name, `{"alg":"`+string(name)+`","kid":"k","typ":"JWT"}`, benchClaims)
			keys := NewKeySet(mustKey(b, "k", "", s.public(a)))
			b.ReportAllocs()
			for b.Loop() {
				if judge(keys, token) != OK {
					b.Fatal("refused")
				}
			}
		})
	}
}
