package jwtauthn

import (
	"slices"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

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
		return newAllowMissing(f.allProviders()), nil
	case *jwtv3.JwtRequirement_AllowMissingOrFailed:
		return &allowFailed{newAllowMissing(f.allProviders())}, nil
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
		v.audiences = newAudiences(pa.GetAudiences())
	}
	return v, nil
}

// allProviders is what allow_missing is about where no requires_any around it
// names providers.
func (f *Filter) allProviders() []*providerVerifier {
	var l []*providerVerifier
	for _, p := range f.providers {
		l = append(l, &providerVerifier{p: p, audiences: p.audiences})
	}
	slices.SortFunc(l, func(a, b *providerVerifier) int {
		if a.p.name < b.p.name {
			return -1
		}
		return 1
	})
	return l
}

// allVerifier is requires_all.
type allVerifier []verifier

func (f *Filter) compileAll(l []*jwtv3.JwtRequirement, depth int) (verifier, error) {
	if len(l) == 0 {
		return nil, strict.Errorf("requirements", "empty")
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
	// missing is the allow_missing or allow_missing_or_failed among the
	// requirements, about the providers beside it; nil if there is none.
	missing verifier
	// presented, beside allow_missing, refuses every token that is there and
	// bad, even if another one is good: in Envoy the good one lets it through.
	presented *allowMissing
}

func (f *Filter) compileAny(l []*jwtv3.JwtRequirement, depth int) (verifier, error) {
	if len(l) == 0 {
		return nil, strict.Errorf("requirements", "empty")
	}
	v := &anyVerifier{}
	var beside []*providerVerifier
	allows, fails := false, false
	for i, m := range l {
		switch m.GetRequiresType().(type) {
		case *jwtv3.JwtRequirement_AllowMissing:
			allows = true
			continue
		case *jwtv3.JwtRequirement_AllowMissingOrFailed:
			fails = true
			continue
		}
		c, err := f.compileRequirement(m, depth+1)
		if err != nil {
			return nil, strict.AtIndex("requirements", i, err)
		}
		if p, ok := c.(*providerVerifier); ok {
			beside = append(beside, p)
		}
		v.children = append(v.children, c)
	}
	if len(beside) == 0 {
		beside = f.allProviders()
	}
	switch m := newAllowMissing(beside); {
	case fails:
		v.missing = &allowFailed{m}
	case allows:
		v.missing, v.presented = m, m
	}
	return v, nil
}

func (a *anyVerifier) verify(r *request) error {
	var tokens []found
	if a.presented != nil {
		tokens = a.presented.find(r.x, nil) // before a child takes one out
	}
	var worst error
	for _, v := range a.children {
		err := v.verify(r)
		if err == nil {
			if a.presented != nil {
				return a.presented.check(r, tokens)
			}
			return nil
		}
		worst = worse(worst, err)
	}
	if a.missing == nil {
		return worst
	}
	if err := a.missing.verify(r); err != nil {
		return worse(worst, err)
	}
	return nil
}
