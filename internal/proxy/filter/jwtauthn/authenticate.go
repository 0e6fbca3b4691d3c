package jwtauthn

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// errMissing is the one refusal that is no fault of a token.
var errMissing = &jose.Error{Kind: jose.Missing}

// request is one request on its way through the requirements.
type request struct {
	f   *Filter
	x   *exchange.Exchange
	now time.Time

	pending    []pending // what stands against it although it meets the requirement
	good       []found   // tokens that a provider took since something is pending
	metadata   []metadataItem
	wrote      bool // a provider has written headers
	clearRoute bool
	badHeader  string // a header for which a claim has no possible value
}

var requests = sync.Pool{New: func() any { return new(request) }}

func newRequest(f *Filter, x *exchange.Exchange) *request {
	r := requests.Get().(*request)
	r.f, r.x, r.now = f, x, f.o.Now()
	return r
}

// release forgets the request with its tokens and gives its memory back.
func (r *request) release() {
	clear(r.pending[:cap(r.pending)]) // also what requires_any took back
	clear(r.good)
	clear(r.metadata)
	*r = request{pending: r.pending[:0], good: r.good[:0], metadata: r.metadata[:0]}
	requests.Put(r)
}

type metadataItem struct {
	key   string
	value jsondoc.Value
}

// refusal is why a provider refuses a token, with what the log says of it: issuer
// and kid are of a token that nobody verified.
type refusal struct {
	err      error // *jose.Error
	provider *provider
	token    *jose.Token // nil if it could not be read
}

func (e *refusal) Error() string { return e.err.Error() }

// Unwrap gives the *jose.Error.
func (e *refusal) Unwrap() error { return e.err }

// providerVerifier is provider_name or provider_and_audiences.
type providerVerifier struct {
	p         *provider
	audiences jose.Audiences // its own, or the provider's
}

// verify wants at least one token, and every token that the provider finds to be
// good: whoever is behind us may pick another one than we did.
func (v *providerVerifier) verify(r *request) error {
	r.sanitize(v.p)
	var room [4]found
	tokens := room[:0]
	for _, l := range v.p.locations {
		tokens = l.find(r.x, tokens)
	}
	if len(tokens) == 0 {
		return errMissing
	}
	for _, t := range slices.Backward(tokens) {
		good, err := v.authenticate(r, t)
		if err != nil {
			return err
		}
		r.apply(v.p, good, t)
	}
	return nil
}

// authenticate judges one token. The order of checks is Envoy's.
func (v *providerVerifier) authenticate(r *request, t found) (*verified, error) {
	good, err := v.judge(r, t.token)
	if err != nil {
		v.p.note(r, err)
		return nil, err
	}
	if len(r.pending) > 0 {
		r.good = append(r.good, t)
	}
	return good, nil
}

func (v *providerVerifier) judge(r *request, raw string) (*verified, error) {
	p := v.p
	if good := p.cached(r, raw); good != nil {
		if err := v.claims(r, good.token); err != nil {
			return nil, err
		}
		return good, nil
	}
	// The text may point into the connection's buffer; what is kept must not.
	token, err := jose.Parse(strings.Clone(raw), 0)
	if err != nil {
		return nil, &refusal{err, p, nil}
	}
	if err := v.claims(r, token); err != nil {
		return nil, err
	}
	keys, err := p.keys(r, token.KeyID)
	if err != nil {
		return nil, &refusal{err, p, token}
	}
	key, err := keys.Verify(token)
	if err != nil {
		return nil, &refusal{err, p, token}
	}
	good := p.output.prepare(token)
	if p.cache != nil {
		p.cache.Put(token.Raw(), good, good.size(), key, p.forget(token))
	}
	return good, nil
}

// cached gives what a token meant when it was verified before, by a key that is
// still in force.
func (p *provider) cached(r *request, raw string) *verified {
	if p.cache == nil {
		r.f.stats.CacheMiss.Add(1)
		return nil
	}
	keys := p.local
	if p.remote != nil {
		var err error
		if keys, err = p.fetch.Keys(context.Background(), *p.remote, ""); err != nil {
			r.f.stats.CacheMiss.Add(1)
			return nil
		}
	}
	if good, ok := p.cache.Get(raw, keys, r.now); ok {
		r.f.stats.CacheHit.Add(1)
		return good
	}
	r.f.stats.CacheMiss.Add(1)
	return nil
}

// forget tells when a token is good no more; the zero time if it always is.
func (p *provider) forget(t *jose.Token) time.Time {
	const never = 1 << 40
	if !t.HasExpiry || t.Expiry > never {
		return time.Time{}
	}
	return time.Unix(int64(t.Expiry), 0).Add(p.skew)
}

// claims judges what the token says, before and after its signature is known to
// be good: times go by while it is in the cache.
func (v *providerVerifier) claims(r *request, t *jose.Token) error {
	if err := v.judgeClaims(r, t); err != nil {
		return &refusal{err, v.p, t}
	}
	return nil
}

func (v *providerVerifier) judgeClaims(r *request, t *jose.Token) error {
	p := v.p
	if p.issuer != "" && t.Issuer != p.issuer {
		return &jose.Error{Kind: jose.UnknownIssuer}
	}
	if err := t.CheckTimes(r.now, p.skew); err != nil {
		return err
	}
	if err := v.audiences.Check(t); err != nil {
		return err
	}
	if p.subjects != nil && !p.subjects(t.Subject) {
		return &jose.Error{Kind: jose.VerificationFailed, Detail: "the subject is not allowed"}
	}
	if p.needsExp && !t.HasExpiry {
		return &jose.Error{Kind: jose.VerificationFailed, Detail: "exp is required"}
	}
	if p.lifetime > 0 {
		if now := uint64(max(r.now.Unix(), 0)); t.Expiry > now && t.Expiry-now > uint64(p.lifetime/time.Second) {
			return &jose.Error{Kind: jose.VerificationFailed, Detail: "exp is further away than max_lifetime"}
		}
	}
	return nil
}

// keys gives the keys in force; kid is the one that is wanted.
func (p *provider) keys(r *request, kid string) (*jose.KeySet, error) {
	if p.remote == nil {
		if p.local == nil {
			return nil, &jose.Error{Kind: jose.NoValidKeys, Detail: "the provider has no key set"}
		}
		return p.local, nil
	}
	keys, err := p.fetch.Keys(context.Background(), *p.remote, kid)
	if err == nil && keys == nil {
		return nil, &jose.Error{Kind: jose.FetchFailed}
	}
	if err != nil {
		return nil, &jose.Error{Kind: jose.FetchFailed, Detail: err.Error()}
	}
	return keys, nil
}
