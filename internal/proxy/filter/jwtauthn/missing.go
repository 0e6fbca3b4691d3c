package jwtauthn

import (
	"maps"
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/jose"
)

// allow is allow_missing or, if failed, allow_missing_or_failed, where it stands
// alone: it is about the places of all providers. Which provider judges a token is
// told by the token's issuer, as in Envoy.
type allow struct {
	failed    bool // what is bad counts as missing
	all       []*providerVerifier
	locations []location
	issuers   map[location]map[string]bool // that a place is for; "" takes any
	byIssuer  map[string][]*providerVerifier
}

func (f *Filter) newAllow(failed bool) *allow {
	a := &allow{failed: failed, issuers: map[location]map[string]bool{}, byIssuer: map[string][]*providerVerifier{}}
	for _, name := range slices.Sorted(maps.Keys(f.providers)) {
		p := f.providers[name]
		v := &providerVerifier{p: p, audiences: p.audiences}
		a.all = append(a.all, v)
		a.byIssuer[p.issuer] = append(a.byIssuer[p.issuer], v)
		for _, at := range p.locations {
			if a.issuers[at] == nil {
				a.issuers[at] = map[string]bool{}
				a.locations = append(a.locations, at)
			}
			a.issuers[at][p.issuer] = true
		}
	}
	sortLocations(a.locations)
	return a
}

func (a *allow) verify(r *request) error {
	for _, v := range a.all {
		r.sanitize(v.p)
	}
	var tokens []found
	for _, l := range a.locations {
		tokens = l.find(r.x, tokens)
	}
	// The verdict is that of the token that is judged last, as in Envoy; but no
	// other may be bad.
	var last, bad error
	for _, t := range slices.Backward(tokens) {
		if last = a.one(r, t); last != nil {
			bad = last
		}
	}
	if a.failed {
		return nil
	}
	if last == nil && bad != nil {
		r.pending = append(r.pending, pending{err: bad})
	}
	return last
}

func (a *allow) one(r *request, t found) error {
	candidates := a.all
	if len(a.all) != 1 {
		token, err := jose.Parse(strings.Clone(t.token), 0)
		if err != nil {
			return &refusal{err: err}
		}
		if !a.issuers[t.at][token.Issuer] && !a.issuers[t.at][""] {
			return &refusal{err: &jose.Error{Kind: jose.UnknownIssuer}, token: token}
		}
		if candidates = a.byIssuer[token.Issuer]; candidates == nil {
			candidates = a.byIssuer[""]
		}
	}
	var worst error
	for _, v := range candidates {
		good, err := v.authenticate(r, t)
		if err == nil {
			r.apply(v.p, good, t)
			return nil
		}
		worst = worse(worst, err)
	}
	return worst
}
