package jose

import "crypto/ed25519"

// maxTries bounds how many signatures are checked for one token, since a token
// without kid may be tried with every key.
const maxTries = 64

// Verify checks the token's signature and gives the key that made it. Keys are
// tried in their order; a key's alg, if it has one, must be the token's, and its
// type always must fit. It judges no claim. Errors are *Error: NoMatchingKey,
// Ed25519Length, VerificationFailed, NoValidKeys, SignatureBase64.
//
// SignatureBase64 is for a signature that is right but for padding bits that are
// not zero: a lenient decoder takes that token. One that is wrong besides gets
// the text that it gets from lenient ones, VerificationFailed.
func (s *KeySet) Verify(t *Token) (*Key, error) {
	if len(s.keys) == 0 {
		return nil, fail(NoValidKeys, "")
	}
	matched, tried := 0, 0
	kind := VerificationFailed
	input := []byte(t.raw[:t.dot2])
	for _, k := range s.candidates(t.KeyID) {
		if k.alg != "" && k.alg != t.Alg {
			continue
		}
		matched++
		if !k.fits(t.alg) {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if k.kty == typeOKP && len(t.sig) != ed25519.SignatureSize {
			kind = Ed25519Length
			continue
		}
		if k.check.verify(t.alg, input, t.sig) {
			if t.loose {
				return nil, fail(SignatureBase64, "the padding bits of its last character are not zero")
			}
			return k, nil
		}
	}
	switch {
	case matched == 0:
		return nil, failf(NoMatchingKey, "%s with kid %s among %d keys", t.Alg, shown(t.KeyID), len(s.keys))
	case tried == 0:
		return nil, failf(VerificationFailed, "the key of kid %s is not for %s", shown(t.KeyID), t.Alg)
	}
	return nil, failf(kind, "%s, kid %s, %d keys tried", t.Alg, shown(t.KeyID), tried)
}
