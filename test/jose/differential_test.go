package jose

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/jose"
)

// weRefuse are the reasons for which usher refuses what golang-jwt or go-jose takes,
// by the kind of the refusal and a part of its detail.
var weRefuse = []struct {
	kind   jose.Kind
	detail string
	why    string
}{
	{jose.BadFormat, "bytes, more than", "the size is bounded"},
	{jose.HeaderBase64, "", "base64url has one spelling (RFC 7515, 2): no spare bits, no padding, no line ends"},
	{jose.PayloadBase64, "", "the same"},
	{jose.SignatureBase64, "", "the same"},
	{jose.HeaderJSON, "is there twice", "names are not repeated (RFC 7515, 4)"},
	{jose.PayloadJSON, "is there twice", "names are not repeated (RFC 7519, 4)"},
	{jose.HeaderJSON, "not valid UTF-8", "JSON is UTF-8 (RFC 8259, 8.1); the others replace what is not"},
	{jose.PayloadJSON, "not valid UTF-8", "the same"},
	{jose.HeaderJSON, "half a surrogate pair", "it stands for no text; the others replace it"},
	{jose.PayloadJSON, "half a surrogate pair", "the same"},
	{jose.HeaderJSON, "nested deeper than 32", "depth is bounded"},
	{jose.PayloadJSON, "nested deeper than 32", "depth is bounded"},
	{jose.HeaderKID, "", "kid is text (RFC 7515, 4.1.4)"},
	{jose.CritUnsupported, "crit asks for", "no extension is understood, and crit is not empty (RFC 7515, 4.1.11)"},
	{jose.CritUnsupported, "b64 is not true", "a JWT is not unencoded (RFC 7797, 7)"},
	{jose.NoMatchingKey, "", "the kid is compared; the others were given one key"},
	{jose.SubjectType, "", "sub is text (RFC 7519, 4.1.2)"},
	{jose.IDType, "", "jti is text (RFC 7519, 4.1.7)"},
	{jose.ExpiryType, "", "exp is a number (RFC 7519, 4.1.4), and null is none"},
	{jose.NotBeforeType, "", "nbf is a number (RFC 7519, 4.1.5), and null is none"},
	{jose.IssuedAtType, "", "iat is a number (RFC 7519, 4.1.6)"},
	{jose.NotBeforeRange, "", "times are not negative, as in Envoy"},
	{jose.IssuedAtRange, "", "times are not negative, as in Envoy"},
	{jose.Expired, "", "exp 0 is long past; golang-jwt takes it for none"},
}

// weTake are the reasons for which usher takes what one of them refuses, or both, by
// a part of the candidate's name.
var weTake = []struct {
	name string
	both bool
	why  string
}{
	{"payload aud with a scheme", true, "http(s):// before an audience is ignored, as in Envoy"},
	{"payload aud with a slash", true, "a slash after an audience is ignored, as in Envoy"},
	{"payload exp 1e19", true, "times have 64 bits without sign, as in Envoy; theirs overflow"},
	{"payload iat future", false, "iat says nothing of validity (RFC 7519, 4.1.6)"},
	{"header key inside", false, "a key in the header is not even looked at"},
}

// TestDifferential: what golang-jwt and go-jose both refuse is refused, what they
// take is taken, and every difference is in one of the lists.
func TestDifferential(t *testing.T) {
	n := 150
	if os.Getenv("USHER_SOAK") != "" {
		n = 5000
	}
	random := rand.New(rand.NewPCG(uint64(n), 7))
	cases, taken := 0, 0
	refusals, takings := map[string]int{}, map[string]int{}
	for _, alg := range slices.Sorted(maps.Keys(algorithms)) {
		verify := map[string]verifier{"golang-jwt": golangJWT(alg), "go-jose": goJose(alg)}
		ours := usher(t, alg)
		for _, c := range candidates(t, alg, n, random) {
			cases++
			err := ours(c.token)
			if err == nil {
				taken++
			}
			refuse := 0
			for peer, v := range verify {
				theirs := v(c.token)
				if theirs != nil {
					refuse++
				}
				if err != nil && theirs == nil {
					refusals[why(t, c, err, peer)]++
				}
			}
			if err == nil && refuse > 0 {
				takings[whyNot(t, c, refuse == 2)]++
			}
		}
	}
	t.Logf("%d tokens, %d taken", cases, taken)
	for _, r := range weRefuse {
		if key := r.kind.String() + ": " + r.detail; refusals[key] == 0 {
			t.Errorf("no token is refused for %q", key)
		} else {
			t.Logf("%d times only we refuse: %s: %s", refusals[key], key, r.why)
		}
	}
	for _, r := range weTake {
		if takings[r.name] == 0 {
			t.Errorf("no token is taken for %q", r.name)
		} else {
			t.Logf("%d times we take: %s: %s", takings[r.name], r.name, r.why)
		}
	}
}

// why finds the reason for a refusal.
func why(t *testing.T, c candidate, err error, peer string) string {
	var e *jose.Error
	if errors.As(err, &e) {
		for _, r := range weRefuse {
			if e.Kind == r.kind && strings.Contains(e.Detail, r.detail) {
				return r.kind.String() + ": " + r.detail
			}
		}
	}
	t.Errorf("%s: %s takes it, we refuse it without a reason: %v", c.name, peer, err)
	return ""
}

// whyNot finds the reason for which a token is taken that one or both refuse.
func whyNot(t *testing.T, c candidate, both bool) string {
	for _, r := range weTake {
		if strings.Contains(c.name, r.name) && (r.both || !both) {
			return r.name
		}
	}
	t.Errorf("%s: we take it; refused by both: %v", c.name, both)
	return ""
}
