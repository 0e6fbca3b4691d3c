package issuer

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// DefaultTTL is how long a token lives if nothing is said.
const DefaultTTL = time.Hour

// MintRequest is one token to make.
type MintRequest struct {
	Issuer   string
	Subject  string
	Audience []string       // one: a string in the token; several: a list
	Claims   map[string]any // further claims, as encoding/json marshals them; may set exp, iat, nbf, jti
	TTL      time.Duration  // 0: an hour; negative: already expired
	Alg      string         // RFC 7518 name; default RS256
	Secret   []byte         // for HS256, HS384, HS512, and only for them
	Now      time.Time      // zero: the clock
}

// Mint makes a signed token, and the key if the issuer has none of that algorithm.
// Tokens signed with a Secret have no kid; whoever verifies them has the secret.
// Errors that lie in the request are ErrRequest.
func (i *Issuer) Mint(r MintRequest) (string, error) {
	name, err := Name(r.Issuer)
	if err != nil {
		return "", err
	}
	claims, err := r.claims(i.now)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", refuse("claims: %w", err)
	}
	key, err := i.signingKey(name, r, expiry(payload))
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("%s: %w", key.Algorithm, err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key.Algorithm, err)
	}
	return jws.CompactSerialize()
}

// signingKey gives the key for a token that expires then.
func (i *Issuer) signingKey(name string, r MintRequest, expires int64) (jose.SigningKey, error) {
	alg := jose.SignatureAlgorithm(r.Alg)
	if alg == "" {
		alg = jose.RS256
	}
	// A secret shorter than the digest can be searched for (RFC 7518, 3.2).
	if least := map[jose.SignatureAlgorithm]int{jose.HS256: 32, jose.HS384: 48, jose.HS512: 64}[alg]; least > 0 {
		if len(r.Secret) < least {
			return jose.SigningKey{}, refuse("%s needs a secret of at least %d bytes, not %d", alg, least, len(r.Secret))
		}
		return jose.SigningKey{Algorithm: alg, Key: r.Secret}, nil
	}
	if len(r.Secret) > 0 {
		return jose.SigningKey{}, refuse("a secret is for HS256, HS384 and HS512, not for %s", alg)
	}
	if !slices.Contains(asymmetric, alg) {
		return jose.SigningKey{}, refuse("unknown algorithm %q: one of %v, HS256, HS384, HS512", r.Alg, asymmetric)
	}
	f, err := i.use(name, alg, expires, maxNamesByMint)
	if err != nil {
		return jose.SigningKey{}, err
	}
	return jose.SigningKey{Algorithm: alg, Key: f.find(alg)}, nil
}

// expiry reads exp of a payload, in seconds since 1970. One that is no number makes a
// token that nobody takes: 0.
func expiry(payload []byte) int64 {
	// A map, since encoding/json matches the members of structs in any case.
	var m map[string]json.RawMessage
	var exp float64
	if json.Unmarshal(payload, &m) != nil || json.Unmarshal(m["exp"], &exp) != nil {
		return 0
	}
	return int64(max(0, min(exp, never)))
}

// never is some time in the year 8800, in seconds since 1970.
const never = 100 * math.MaxInt32

// claims joins the registered claims (RFC 7519, 4.1) and the others. Names that
// the request says by fields of its own may not be repeated.
func (r *MintRequest) claims(clock func() time.Time) (map[string]any, error) {
	now, ttl := r.Now, r.TTL
	if now.IsZero() {
		now = clock()
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if r.Issuer == "" {
		return nil, refuse("a token needs an issuer")
	}
	c := map[string]any{
		"iss": r.Issuer,
		"iat": now.Unix(),
		"exp": now.Add(ttl).Unix(),
		"jti": rand.Text(),
	}
	if r.Subject != "" {
		c["sub"] = r.Subject
	}
	switch len(r.Audience) {
	case 0:
	case 1:
		c["aud"] = r.Audience[0]
	default:
		c["aud"] = r.Audience
	}
	for k, v := range r.Claims {
		_, set := c[k]
		if k == "iss" || set && (k == "sub" || k == "aud") {
			return nil, refuse("claim %q is given twice", k)
		}
		c[k] = v
	}
	return c, nil
}
