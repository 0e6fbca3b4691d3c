package translate

import "github.com/usher-mesh/usher/internal/mesh"

// warnBinding tells the owner of a Policy with USE_PEER that rules which ask for
// the request's principal get the token's. Were it withheld from them, DENY rules
// would be dead without a word.
func (p *pass) warnBinding(s *mesh.Security) {
	for _, o := range s.Origin {
		if o == nil || o.UseOrigin {
			continue
		}
		for _, a := range s.Authorization {
			pair := [2]mesh.Ref{o.Ref, a.Ref}
			if p.guards.bound[pair] || !asksPrincipal(a) {
				continue
			}
			p.guards.bound[pair] = true
			p.found.warn(o.Ref, "spec.principalBinding: USE_PEER does not change what AuthorizationPolicies see: the principal of the request that %q asks for is the token's", a.Ref.Name)
		}
	}
}

// asksPrincipal tells whether a rule reads the request's principal.
func asksPrincipal(a *mesh.AuthorizationPolicy) bool {
	for _, r := range a.Rules {
		for _, f := range r.From {
			if !f.RequestPrincipals.Empty() {
				return true
			}
		}
		for _, c := range r.When {
			if c.Key == "request.auth.principal" {
				return true
			}
		}
	}
	return false
}
