package jwtauthn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// rule is a RequirementRule; a nil verifier asks for nothing.
type rule struct {
	match    *match.Route
	verifier verifier
}

func (f *Filter) compile(m *jwtv3.JwtAuthentication) error {
	if err := strict.Only(m, "providers", "rules", "filter_state_rules", "bypass_cors_preflight", "requirement_map",
		"strip_failure_response", "stat_prefix"); err != nil {
		return err
	}
	f.providers = make(map[string]*provider, len(m.GetProviders()))
	f.sanitize = make(map[string]bool)
	seen := make(map[exchange.Secret]bool)
	for _, name := range slices.Sorted(maps.Keys(m.GetProviders())) {
		p, err := compileProvider(name, m.GetProviders()[name], f.o)
		if err != nil {
			return strict.At(fmt.Sprintf("providers[%q]", name), err)
		}
		f.providers[name] = p
		for _, h := range p.writes {
			f.sanitize[undisguised(h)] = true
		}
		for _, l := range p.locations {
			if s := l.secret(); !seen[s] {
				seen[s] = true
				f.secrets = append(f.secrets, s)
			}
		}
	}
	f.named = make(map[string]verifier, len(m.GetRequirementMap()))
	names := slices.Sorted(maps.Keys(m.GetRequirementMap()))
	f.names = strings.Join(names, ",")
	for _, name := range names {
		v, err := f.compileRequirement(m.GetRequirementMap()[name], 0)
		if err != nil {
			return strict.At(fmt.Sprintf("requirement_map[%q]", name), err)
		}
		f.named[name] = v
	}
	for i, r := range m.GetRules() {
		c, err := f.compileRule(r)
		if err != nil {
			return strict.AtIndex("rules", i, err)
		}
		f.rules = append(f.rules, c)
	}
	if err := f.compileStateRules(m.GetFilterStateRules()); err != nil {
		return strict.At("filter_state_rules", err)
	}
	f.announce()
	return nil
}

// stateRules are filter_state_rules: the text of a name in the filter state picks a
// requirement, if no rule matches.
type stateRules struct {
	name     string // "": there are none
	requires map[string]verifier
}

func (f *Filter) compileStateRules(m *jwtv3.FilterStateRule) error {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "name", "requires"); err != nil {
		return err
	}
	if m.GetName() == "" {
		return strict.Errorf("name", "empty")
	}
	f.state = stateRules{m.GetName(), make(map[string]verifier, len(m.GetRequires()))}
	for _, text := range slices.Sorted(maps.Keys(m.GetRequires())) {
		v, err := f.compileRequirement(m.GetRequires()[text], 0)
		if err != nil {
			return strict.At(fmt.Sprintf("requires[%q]", text), err)
		}
		f.state.requires[text] = v
	}
	return nil
}

// announce has the remote key sets fetched, once the configuration is found good.
func (f *Filter) announce() {
	for _, name := range slices.Sorted(maps.Keys(f.providers)) {
		if p := f.providers[name]; p.remote != nil {
			f.stats.named(*p.remote)
			f.o.Fetch.Want(*p.remote)
		}
	}
}

func (f *Filter) compileRule(m *jwtv3.RequirementRule) (r rule, err error) {
	if err := strict.Only(m, "match", "requires", "requirement_name"); err != nil {
		return r, err
	}
	if m.GetMatch() == nil {
		return r, strict.Errorf("match", "missing")
	}
	if r.match, err = match.CompileRoute(m.GetMatch()); err != nil {
		return r, strict.At("match", err)
	}
	switch t := m.GetRequirementType().(type) {
	case *jwtv3.RequirementRule_Requires:
		r.verifier, err = f.compileRequirement(t.Requires, 0)
		err = strict.At("requires", err)
	case *jwtv3.RequirementRule_RequirementName:
		v, ok := f.named[t.RequirementName]
		if !ok {
			return r, strict.Errorf("requirement_name", "Wrong requirement_name: %s. It should be one of [%s]", t.RequirementName, f.names)
		}
		r.verifier = v
	}
	return r, err
}
