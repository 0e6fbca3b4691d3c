package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

// explain is the sentence after the status of a refusal. The token is nil if it
// cannot be read.
func (f *verifyFlags) explain(err error, t *jose.Token, keys *jose.KeySet, now time.Time) string {
	switch kind := jose.KindOf(err); {
	case t == nil:
	case kind == jose.Expired:
		return fmt.Sprintf("Its exp was %s.", moment(t.Expiry, now))
	case kind == jose.NotYetValid:
		return fmt.Sprintf("Its nbf is %s.", moment(t.NotBefore, now))
	case kind == jose.UnknownIssuer:
		return fmt.Sprintf("Its issuer is %q; %q is wanted.", t.Issuer, f.issuer)
	case kind == jose.AudienceNotAllowed:
		return fmt.Sprintf("It is for %s; %s is wanted.", quoteList(t.Audience), quoteList(f.audiences))
	case kind == jose.NoMatchingKey && keys.Has(t.KeyID):
		return fmt.Sprintf("It is signed with %s, and names %s, which is not for that.", t.Alg, named(keys, t.KeyID))
	case kind == jose.NoMatchingKey:
		return fmt.Sprintf("It is signed with %s by %s; there are %s.", t.Alg, signer(t), keyList(keys))
	case kind == jose.VerificationFailed && keys.Has(t.KeyID):
		return fmt.Sprintf("Its signature (%s) does not fit the key that it names, %s: it was changed, or signed by another key.",
			t.Alg, named(keys, t.KeyID))
	case kind == jose.VerificationFailed:
		return fmt.Sprintf("Its signature (%s, by %s) is of none of %s: it was changed, or signed by another key.",
			t.Alg, signer(t), keyList(keys))
	}
	var e *jose.Error
	if errors.As(err, &e) && e.Detail != "" {
		return "In detail: " + strings.TrimSuffix(e.Detail, ".") + "."
	}
	return "It was changed on its way, or is not a signed token at all."
}

func signer(t *jose.Token) string {
	if t.KeyID == "" {
		return "a key that it does not name"
	}
	return fmt.Sprintf("key %q", t.KeyID)
}

func quoteList(l []string) string {
	if len(l) == 0 {
		return "nobody in particular"
	}
	q := make([]string, len(l))
	for i, s := range l {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}

// maxListed bounds the keys that an explanation names.
const maxListed = 10

// named names the keys that a token's kid could mean.
func named(keys *jose.KeySet, kid string) string {
	var l []string
	for _, k := range keys.Keys() {
		if k.ID() == kid && len(l) < maxListed {
			l = append(l, k.String())
		}
	}
	return strings.Join(l, " or ")
}

// keyList names the keys that there are, and those that are not used, with why.
func keyList(keys *jose.KeySet) string {
	var l []string
	for _, k := range keys.Keys() {
		l = append(l, k.String())
	}
	for _, s := range keys.Skipped() {
		l = append(l, fmt.Sprintf("one %q that is not used (%s)", s.KID, s.Reason))
	}
	if len(l) > maxListed {
		l = append(l[:maxListed], fmt.Sprintf("%d more", len(l)-maxListed))
	}
	return strings.Join(l, ", ")
}
