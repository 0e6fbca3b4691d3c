package jwtauthn

import (
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// verifier is a compiled JwtRequirement. verify gives nil if the request meets
// it, else a *jose.Error. A nil verifier asks for nothing.
type verifier interface{ verify(r *request) error }

// maxRequirementDepth bounds how deep requirements nest.
const maxRequirementDepth = 32

func (f *Filter) compileRequirement(m *jwtv3.JwtRequirement, depth int) (verifier, error) {
	if depth > maxRequirementDepth {
		return nil, strict.Errorf("", "nested deeper than %d", maxRequirementDepth)
	}
	if err := strict.Only(m, "provider_name", "provider_and_audiences", "requires_any", "requires_all",
		"allow_missing_or_failed", "allow_missing"); err != nil {
		return nil, err
	}
	switch t := m.GetRequiresType().(type) {
	case *jwtv3.JwtRequirement_ProviderName, *jwtv3.JwtRequirement_ProviderAndAudiences:
		return f.compileProviderRequirement(m)
	case *jwtv3.JwtRequirement_RequiresAny:
		v, err := f.compileAny(t.RequiresAny.GetRequirements(), depth)
		return v, strict.At("requires_any", err)
	case *jwtv3.JwtRequirement_RequiresAll:
		v, err := f.compileAll(t.RequiresAll.GetRequirements(), depth)
		return v, strict.At("requires_all", err)
	case *jwtv3.JwtRequirement_AllowMissing:
		return f.newAllow(false), nil
	case *jwtv3.JwtRequirement_AllowMissingOrFailed:
		return f.newAllow(true), nil
	}
	return nothing{}, nil
}

// nothing is an empty requirement: it is met.
type nothing struct{}

func (nothing) verify(*request) error { return nil }

func (f *Filter) compileProviderRequirement(m *jwtv3.JwtRequirement) (*providerVerifier, error) {
	name, field := m.GetProviderName(), "provider_name"
	pa := m.GetProviderAndAudiences()
	if pa != nil {
		if err := strict.Only(pa, "provider_name", "audiences"); err != nil {
			return nil, strict.At("provider_and_audiences", err)
		}
		name, field = pa.GetProviderName(), "provider_and_audiences.provider_name"
	}
	p := f.providers[name]
	if p == nil {
		return nil, strict.Errorf(field, "Required provider ['%s'] is not configured.", name)
	}
	v := &providerVerifier{p: p, audiences: p.audiences}
	if len(pa.GetAudiences()) > 0 {
		v.audiences = jose.NewAudiences(pa.GetAudiences())
	}
	return v, nil
}

// allVerifier is requires_all.
type allVerifier []verifier

func (f *Filter) compileAll(l []*jwtv3.JwtRequirement, depth int) (verifier, error) {
	if len(l) < 2 {
		return nil, strict.Errorf("requirements", "%d given, want two at least", len(l))
	}
	var all allVerifier
	for i, m := range l {
		v, err := f.compileRequirement(m, depth+1)
		if err != nil {
			return nil, strict.AtIndex("requirements", i, err)
		}
		all = append(all, v)
	}
	return all, nil
}

func (a allVerifier) verify(r *request) error {
	for _, v := range a {
		if err := v.verify(r); err != nil {
			return err
		}
	}
	return nil
}

// anyVerifier is requires_any.
type anyVerifier struct {
	children []verifier
	// allows and fails: allow_missing and allow_missing_or_failed are among the
	// requirements. They judge what the others have found, and look for no token.
	allows, fails bool
	// named are the providers below, if allows.
	named *presented
}

func (f *Filter) compileAny(l []*jwtv3.JwtRequirement, depth int) (verifier, error) {
	if len(l) < 2 {
		return nil, strict.Errorf("requirements", "%d given, want two at least", len(l))
	}
	v := &anyVerifier{}
	for i, m := range l {
		switch m.GetRequiresType().(type) {
		case *jwtv3.JwtRequirement_AllowMissing:
			v.allows = true
			continue
		case *jwtv3.JwtRequirement_AllowMissingOrFailed:
			v.fails = true
			continue
		}
		c, err := f.compileRequirement(m, depth+1)
		if err != nil {
			return nil, strict.AtIndex("requirements", i, err)
		}
		v.children = append(v.children, c)
	}
	if len(v.children) == 0 {
		return f.newAllow(v.fails), nil
	}
	if v.allows && !v.fails {
		v.named = newPresented(providersOf(v, nil))
	}
	return v, nil
}

// providersOf appends the providers that a requirement names.
func providersOf(v verifier, to []*providerVerifier) []*providerVerifier {
	switch v := v.(type) {
	case *providerVerifier:
		return append(to, v)
	case allVerifier:
		for _, c := range v {
			to = providersOf(c, to)
		}
	case *anyVerifier:
		for _, c := range v.children {
			to = providersOf(c, to)
		}
	}
	return to
}

func (a *anyVerifier) verify(r *request) error {
	if a.named != nil {
		a.named.note(r)
	}
	pending := len(r.pending)
	var worst error
	for _, v := range a.children {
		err := v.verify(r)
		if err == nil {
			return nil
		}
		r.pending = r.pending[:pending] // what failed asks for nothing more
		worst = worse(worst, err)
	}
	if a.fails || a.allows && jose.KindOf(worst) == jose.Missing {
		return nil
	}
	return worst
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
