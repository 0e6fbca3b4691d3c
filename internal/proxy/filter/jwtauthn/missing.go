package jwtauthn

import (
	"slices"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// allowMissing lets a request without a token pass, and one with tokens if each
// is good for one of the providers that read its place.
type allowMissing struct {
	locations []location
	readers   map[location][]*providerVerifier
}

func newAllowMissing(l []*providerVerifier) *allowMissing {
	a := &allowMissing{readers: make(map[location][]*providerVerifier)}
	for _, p := range l {
		for _, at := range p.p.locations {
			if !slices.Contains(a.locations, at) {
				a.locations = append(a.locations, at)
			}
			a.readers[at] = append(a.readers[at], p)
		}
	}
	sortLocations(a.locations)
	return a
}

func (a *allowMissing) find(x *exchange.Exchange, to []found) []found {
	for _, l := range a.locations {
		to = l.find(x, to)
	}
	return to
}

func (a *allowMissing) verify(r *request) error {
	for _, t := range slices.Backward(a.find(r.x, nil)) {
		if err := a.one(r, t, true); err != nil {
			return err
		}
	}
	return nil
}

// check refuses tokens that are bad and not judged yet; it changes nothing in
// the request.
func (a *allowMissing) check(r *request, tokens []found) error {
	for _, t := range slices.Backward(tokens) {
		if r.accepted(t) {
			continue
		}
		if err := a.one(r, t, false); err != nil {
			return err
		}
	}
	return nil
}

// one asks the providers of a token's place in turn.
func (a *allowMissing) one(r *request, t found, apply bool) error {
	var worst error
	for _, p := range a.readers[t.at] {
		v, err := p.authenticate(r, t)
		if err == nil {
			if apply {
				r.apply(p.p, v, t)
			}
			return nil
		}
		worst = worse(worst, err)
	}
	return worst
}

// allowFailed lets everything pass and uses the tokens that are good.
type allowFailed struct{ *allowMissing }

func (a *allowFailed) verify(r *request) error {
	for _, t := range slices.Backward(a.find(r.x, nil)) {
		_ = a.one(r, t, true) // what is bad counts as missing
	}
	return nil
}

// worse picks the error that a list of alternatives answers: a real one beats an
// issuer that is not configured, which beats a missing token; of equals the last.
func worse(a, b error) error {
	if a != nil && rank(a) > rank(b) {
		return a
	}
	return b
}

func rank(err error) int {
	switch jose.KindOf(err) {
	case jose.Missing:
		return 0
	case jose.UnknownIssuer:
		return 1
	}
	return 2
}
