package jose

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// Registered are the claims of RFC 7519, 4.1 that have a meaning here. Times are
// seconds since 1970; a fraction is cut.
type Registered struct {
	Issuer, Subject, ID string // iss, sub, jti; "" if absent
	Audience            []string
	Expiry, NotBefore   uint64
	IssuedAt            uint64
	HasExpiry           bool
}

// read takes the claims in the order in which Envoy judges them.
func (r *Registered) read(claims jsondoc.Value) error {
	var iss, sub, iat, nbf, exp, jti, aud jsondoc.Value
	for name, v := range claims.All() {
		switch name {
		case "iss":
			iss = v
		case "sub":
			sub = v
		case "iat":
			iat = v
		case "nbf":
			nbf = v
		case "exp":
			exp = v
		case "jti":
			jti = v
		case "aud":
			aud = v
		}
	}
	if !text(iss, &r.Issuer) {
		return fail(IssuerType, "")
	}
	if !text(sub, &r.Subject) {
		return fail(SubjectType, "")
	}
	if k := seconds(iat, &r.IssuedAt, IssuedAtType, IssuedAtRange); k != OK {
		return fail(k, "")
	}
	if k := seconds(nbf, &r.NotBefore, NotBeforeType, NotBeforeRange); k != OK {
		return fail(k, "")
	}
	if k := seconds(exp, &r.Expiry, ExpiryType, ExpiryRange); k != OK {
		return fail(k, "")
	}
	r.HasExpiry = exp != nil
	if !text(jti, &r.ID) {
		return fail(IDType, "")
	}
	return r.audience(aud)
}

func (r *Registered) audience(aud jsondoc.Value) error {
	switch aud.Kind() {
	case jsondoc.Absent:
		return nil
	case jsondoc.String:
		s, _ := aud.Text()
		r.Audience = []string{s}
		return nil
	case jsondoc.Array:
		r.Audience = make([]string, 0, aud.Len())
		for _, e := range aud.All() {
			s, ok := e.Text()
			if !ok {
				return fail(AudienceType, "")
			}
			r.Audience = append(r.Audience, s)
		}
		return nil
	}
	return fail(AudienceType, "")
}

// text reads a claim that is a string if it is there.
func text(claim jsondoc.Value, to *string) (ok bool) {
	if claim == nil {
		return true
	}
	*to, ok = claim.Text()
	return ok
}

// seconds reads a NumericDate if it is there.
func seconds(claim jsondoc.Value, to *uint64, badType, badRange Kind) Kind {
	if claim == nil {
		return OK
	}
	n, ok := claim.Number()
	if !ok {
		return badType
	}
	if u, err := strconv.ParseUint(string(n), 10, 53); err == nil {
		*to = u
		return OK
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f >= 1<<64 {
		return badRange
	}
	if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
		*to = u
	} else {
		*to = uint64(f)
	}
	return OK
}

// DefaultSkew is the clock skew that Envoy allows by default.
const DefaultSkew = 60 * time.Second

// CheckTimes judges nbf and exp at the time now. A missing exp passes.
func (t *Token) CheckTimes(now time.Time, skew time.Duration) error {
	n, s := uint64(max(now.Unix(), 0)), uint64(max(skew, 0)/time.Second)
	if t.NotBefore > n && t.NotBefore-n > s {
		return failf(NotYetValid, "nbf is %s away; clocks may differ by %s", span(t.NotBefore-n), span(s))
	}
	if t.HasExpiry && n > t.Expiry && n-t.Expiry > s {
		return failf(Expired, "exp was %s ago; clocks may differ by %s", span(n-t.Expiry), span(s))
	}
	return nil
}

// span says seconds in words for a detail.
func span(s uint64) string {
	if s > 1<<33 {
		return strconv.FormatUint(s, 10) + "s"
	}
	return (time.Duration(s) * time.Second).String()
}

// Audiences is the set of audiences that are allowed; the empty set allows all.
// As in Envoy, an http:// or https:// in front and one slash at the end are
// ignored on both sides.
type Audiences map[string]bool

// NewAudiences makes the set.
func NewAudiences(list []string) Audiences {
	a := make(Audiences, len(list))
	for _, s := range list {
		a[bareAudience(s)] = true
	}
	return a
}

// Check refuses a token that is for none of the audiences.
func (a Audiences) Check(t *Token) error {
	if len(a) == 0 {
		return nil
	}
	for _, s := range t.Audience {
		if a[bareAudience(s)] {
			return nil
		}
	}
	return failf(AudienceNotAllowed, "aud is %s; allowed is %s",
		listed(t.Audience, shown), listed(slices.Sorted(maps.Keys(a)), shown))
}

func bareAudience(s string) string {
	if t, ok := strings.CutPrefix(s, "https://"); ok {
		s = t
	} else {
		s = strings.TrimPrefix(s, "http://")
	}
	return strings.TrimSuffix(s, "/")
}
