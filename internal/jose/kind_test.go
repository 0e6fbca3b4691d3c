package jose

import "testing"

// The numbers that a running Envoy 1.40.0 writes.
func TestCodes(t *testing.T) {
	for k, want := range map[Kind]int{
		NotYetValid: 2, Expired: 3, BadFormat: 4, HeaderBase64: 5, HeaderJSON: 6, HeaderAlg: 7, AlgUnsupported: 8, HeaderKID: 9,
		PayloadBase64: 10, PayloadJSON: 11, IssuerType: 12, SubjectType: 13, IssuedAtType: 14, IssuedAtRange: 15, NotBeforeType: 16,
		NotBeforeRange: 17, ExpiryType: 18, ExpiryRange: 19, IDType: 20, AudienceType: 21, SignatureBase64: 22, UnknownIssuer: 24,
		AudienceNotAllowed: 25, VerificationFailed: 26, NoMatchingKey: 32,
	} {
		if got := k.Code(); got != want {
			t.Errorf("%q: %d, want %d", k, got, want)
		}
	}
	for k := range numKinds {
		if k.String() == "" {
			t.Errorf("kind %d has no text", k)
		}
	}
}
