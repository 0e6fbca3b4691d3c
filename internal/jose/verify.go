package jose

import "crypto/ed25519"

// maxTries bounds how many signatures are checked for one token, since a token
// without kid may be tried with every key.
const maxTries = 64

// Verify checks the token's signature and gives the key that made it. It judges no
// claim. Errors are those of VerifyJWS.
func (s *KeySet) Verify(t *Token) (*Key, error) { return s.VerifyJWS(&t.JWS) }

// VerifyJWS checks a signature and gives the key that made it. Keys are tried in
// their order; a key's alg, if it has one, must be the token's, and its type always
// must fit. Errors are *Error: NoMatchingKey, Ed25519Length, VerificationFailed,
// NoValidKeys, SignatureBase64.
//
// SignatureBase64 is for a signature that is right but for spare bits that are not
// zero: a lenient decoder takes that token. One that is wrong besides gets the text
// that it gets from lenient ones, VerificationFailed.
func (s *KeySet) VerifyJWS(j *JWS) (*Key, error) {
	if len(s.keys) == 0 {
		return nil, fail(NoValidKeys, "")
	}
	tried, kind := 0, VerificationFailed
	input := j.raw[:j.dot2]
	for _, k := range s.candidates(j.KeyID) {
		if !k.allows(j.Alg) || !k.fits(j.alg) {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if k.kty == typeOKP && len(j.sig) != ed25519.SignatureSize {
			kind = Ed25519Length
			continue
		}
		if !k.Verify(j.Alg, input, j.sig) {
			continue
		}
		if j.loose {
			return nil, fail(SignatureBase64, "the spare bits of its last character are not zero")
		}
		return k, nil
	}
	return nil, s.refusal(j, kind)
}

// refusal says why no key verifies a signature; kind is for one that was tried.
func (s *KeySet) refusal(j *JWS, kind Kind) error {
	var allowed, fitting []*Key
	for _, k := range s.candidates(j.KeyID) {
		if k.allows(j.Alg) {
			allowed = append(allowed, k)
			if k.fits(j.alg) {
				fitting = append(fitting, k)
			}
		}
	}
	switch {
	case len(allowed) == 0:
		return failf(NoMatchingKey, "it wants the key %s for %s; there are %s", shown(j.KeyID), j.Alg, s)
	case len(fitting) == 0:
		return failf(VerificationFailed, "%s cannot verify %s", listed(allowed, (*Key).String), j.Alg)
	}
	return failf(kind, "it is no %s signature by %s", j.Alg, listed(fitting, (*Key).String))
}
