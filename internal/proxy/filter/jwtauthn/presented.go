package jwtauthn

import "slices"

// presented is where the providers of a requires_any with allow_missing read. One
// good token is enough for it, but lets no bad one through: in Envoy it does.
type presented struct {
	locations []location
	readers   map[location][]*providerVerifier
}

func newPresented(l []*providerVerifier) *presented {
	p := &presented{readers: map[location][]*providerVerifier{}}
	for _, v := range l {
		for _, at := range v.p.locations {
			if p.readers[at] == nil {
				p.locations = append(p.locations, at)
			}
			p.readers[at] = append(p.readers[at], v)
		}
	}
	sortLocations(p.locations)
	return p
}

// pending is what stands against a request that meets its requirement: a refusal,
// or tokens that must be good.
type pending struct {
	err    error
	of     *presented
	tokens []found
}

// note remembers the tokens that are there now: whoever takes one may take it out
// of the request.
func (p *presented) note(r *request) {
	var tokens []found
	for _, l := range p.locations {
		tokens = l.find(r.x, tokens)
	}
	if len(tokens) > 0 {
		r.pending = append(r.pending, pending{of: p, tokens: tokens})
	}
}

// settle refuses a request that meets its requirement but for a bad token that was
// let through so far. It changes nothing in the request.
func (r *request) settle() error {
	for _, p := range r.pending {
		if p.err != nil {
			return p.err
		}
		for _, t := range slices.Backward(p.tokens) {
			if slices.Contains(r.good, t) {
				continue
			}
			if err := p.of.judge(r, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge asks the providers of a token's place in turn.
func (p *presented) judge(r *request, t found) error {
	var worst error
	for _, v := range p.readers[t.at] {
		_, err := v.authenticate(r, t)
		if err == nil {
			return nil
		}
		worst = worse(worst, err)
	}
	return worst
}
