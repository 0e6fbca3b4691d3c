package jose

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
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
func (r *Registered) read(c map[string]any) error {
	if !text(c, "iss", &r.Issuer) {
		return fail(IssuerType, "")
	}
	if !text(c, "sub", &r.Subject) {
		return fail(SubjectType, "")
	}
	if _, k := seconds(c, "iat", &r.IssuedAt, IssuedAtType, IssuedAtRange); k != OK {
		return fail(k, "")
	}
	if _, k := seconds(c, "nbf", &r.NotBefore, NotBeforeType, NotBeforeRange); k != OK {
		return fail(k, "")
	}
	has, k := seconds(c, "exp", &r.Expiry, ExpiryType, ExpiryRange)
	if k != OK {
		return fail(k, "")
	}
	r.HasExpiry = has
	if !text(c, "jti", &r.ID) {
		return fail(IDType, "")
	}
	return r.audience(c)
}

func (r *Registered) audience(c map[string]any) error {
	v, there := c["aud"]
	if !there {
		return nil
	}
	switch a := v.(type) {
	case string:
		r.Audience = []string{a}
		return nil
	case []any:
		r.Audience = make([]string, len(a))
		for i, e := range a {
			s, ok := e.(string)
			if !ok {
				return fail(AudienceType, "")
			}
			r.Audience[i] = s
		}
		return nil
	}
	return fail(AudienceType, "")
}

// text reads a claim that is a string if it is there.
func text(c map[string]any, name string, to *string) bool {
	v, there := c[name]
	if !there {
		return true
	}
	s, ok := v.(string)
	*to = s
	return ok
}

// seconds reads a NumericDate that is there or not.
func seconds(c map[string]any, name string, to *uint64, badType, badRange Kind) (bool, Kind) {
	v, there := c[name]
	if !there {
		return false, OK
	}
	n, ok := v.(json.Number)
	if !ok {
		return false, badType
	}
	if u, err := strconv.ParseUint(string(n), 10, 53); err == nil {
		*to = u
		return true, OK
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f >= 1<<64 {
		return false, badRange
	}
	if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
		*to = u
	} else {
		*to = uint64(f)
	}
	return true, OK
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
