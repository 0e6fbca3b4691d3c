package translate

import (
	"fmt"

	securityapi "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// clockSkew is how far clocks may differ, in seconds: Envoy's default.
const clockSkew = 60

// Where a token stands if its rule does not say.
const (
	authorizationHeader = "Authorization"
	bearer              = "Bearer "
	accessTokenParam    = "access_token"
)

// requestAuthentication is a RequestAuthentication by itself.
type requestAuthentication struct {
	ref   mesh.Ref
	rules []mesh.JWTRule
	selection
	verdict verdict
	keySets []keySet
}

func translateRequest(ref mesh.Ref, o *securityv1.RequestAuthentication) *requestAuthentication {
	r := &requestAuthentication{ref: ref}
	r.selection = selectionOf(o.Namespace, o.Spec.Selector, o.Spec.TargetRef, o.Spec.TargetRefs, &r.verdict)
	for i, rule := range o.Spec.JwtRules {
		path := fmt.Sprintf("spec.jwtRules[%d]", i)
		j, ks := jwtRule(ref, i, rule, path, &r.verdict)
		r.rules = append(r.rules, j)
		if ks != nil {
			r.keySets = append(r.keySets, *ks)
		}
	}
	return r
}

func jwtRule(ref mesh.Ref, index int, in *securityapi.JWTRule, path string, v *verdict) (mesh.JWTRule, *keySet) {
	out := mesh.JWTRule{
		Ref: ref, Index: index, Issuer: in.Issuer, Audiences: in.Audiences,
		Params: in.FromParams, Cookies: in.FromCookies,
		Forward: in.ForwardOriginalToken, PayloadHeader: in.OutputPayloadToHeader,
		SpaceDelimited:   append([]string{"scope", "permission"}, in.SpaceDelimitedClaims...),
		FetchTimeout:     in.Timeout.AsDuration(),
		AcceptClockSkewS: clockSkew,
	}
	for i, h := range in.FromHeaders {
		if h.GetName() == "" {
			v.refuse(reasonInvalid, "%s.fromHeaders[%d].name: must be given", path, i)
		}
		out.Headers = append(out.Headers, mesh.JWTHeader{Name: h.GetName(), Prefix: h.GetPrefix()})
	}
	if len(in.FromHeaders)+len(in.FromParams)+len(in.FromCookies) == 0 {
		out.Headers = []mesh.JWTHeader{{Name: authorizationHeader, Prefix: bearer}}
		out.Params = []string{accessTokenParam}
	}
	for i, c := range in.OutputClaimToHeaders {
		if c.GetHeader() == "" || c.GetClaim() == "" {
			v.refuse(reasonInvalid, "%s.outputClaimToHeaders[%d]: header and claim must be given", path, i)
		}
		out.ClaimHeaders = append(out.ClaimHeaders, mesh.ClaimHeader{Header: c.GetHeader(), Claim: c.GetClaim()})
	}
	for i, a := range in.Audiences {
		if a == "" {
			v.refuse(reasonInvalid, "%s.audiences[%d]: must not be empty", path, i)
		}
	}
	if in.Issuer == "" && in.JwksUri == "" && in.Jwks == "" {
		v.refuse(reasonInvalid, "%s: issuer, jwks or jwksUri must be given", path)
	}
	ks := keysOf(&out, in.Issuer, in.Jwks, in.JwksUri, path, v)
	return out, ks
}

// keysOf sets where a rule's keys come from: inline, from their URI, or from the
// issuer's discovery document.
func keysOf(out *mesh.JWTRule, issuer, jwks, uri, path string, v *verdict) *keySet {
	switch {
	case jwks != "" && uri != "":
		v.refuse(reasonInvalid, "%s: jwks and jwksUri exclude each other", path)
	case jwks != "":
		checkKeys(jwks, path+".jwks", v)
		out.JWKS = jwks
	case uri != "":
		if checkURI(uri, path+".jwksUri", v) {
			out.KeySet = uri
			return &keySet{uri: uri}
		}
	case issuer != "":
		if uri, ok := discoveryURI(issuer, path, v); ok {
			out.KeySet = uri
			return &keySet{uri: uri, issuer: issuer}
		}
	}
	return nil
}
