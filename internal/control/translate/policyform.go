package translate

import (
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
	"github.com/usher-mesh/usher/internal/mesh"
)

// policy is a Policy or MeshPolicy by itself.
type policy struct {
	ref     mesh.Ref
	object  metav1.Object
	spec    *authv1alpha1.PolicySpec
	origin  *mesh.OriginPolicy // nil without origins
	peer    mesh.MTLSMode      // 0 without peers
	verdict verdict
	keySets []keySet
}

func translatePolicy(ref mesh.Ref, o metav1.Object, spec *authv1alpha1.PolicySpec) *policy {
	p := &policy{ref: ref, object: o, spec: spec}
	v := &p.verdict
	switch {
	case ref.Kind == "MeshPolicy" && o.GetName() != defaultNoName:
		v.refuse(reasonInvalid, "metadata.name: the MeshPolicy must be named %q", defaultNoName)
	case ref.Kind == "MeshPolicy" && len(spec.Targets) > 0:
		v.refuse(reasonInvalid, "spec.targets: a MeshPolicy has none")
	case ref.Kind == "Policy" && len(spec.Targets) == 0 && o.GetName() != defaultNoName:
		v.refuse(reasonInvalid, "spec.targets: must be given, unless the object is named %q", defaultNoName)
	case ref.Kind == "Policy" && len(spec.Targets) > 0 && o.GetName() == defaultNoName:
		v.refuse(reasonInvalid, "spec.targets: the Policy named %q is for the namespace and has none", defaultNoName)
	}
	p.peer = p.peerMode()
	if len(spec.Origins) == 0 {
		return p
	}
	p.origin = &mesh.OriginPolicy{
		Ref: ref, Optional: spec.OriginIsOptional, UseOrigin: spec.PrincipalBinding == authv1alpha1.UseOrigin,
	}
	for i, m := range spec.Origins {
		path := fmt.Sprintf("spec.origins[%d].jwt", i)
		if m.JWT == nil {
			v.refuse(reasonInvalid, "%s: must be given", path)
			continue
		}
		p.origin.Rules = append(p.origin.Rules, p.originRule(i, m.JWT, path))
	}
	p.checkTriggers()
	return p
}

// maxCases bounds the cases that different trigger rules make: a match for each
// way in which some of them fire together.
const maxCases = 64

// checkTriggers refuses a Policy of too many cases. To take the rules together
// instead would let the token of one issuer in where another's is asked for.
func (p *policy) checkTriggers() {
	counted := map[string]bool{}
	cases := 1
	for _, r := range p.origin.Rules {
		key := fmt.Sprint(r.Triggers)
		if counted[key] {
			continue
		}
		counted[key] = true
		if cases *= 1 + max(1, len(r.Triggers)); cases > maxCases {
			p.verdict.refuse(reasonUnsupported, "spec.origins: their triggerRules fire together in more than %d ways", maxCases-1)
			return
		}
	}
}

func (p *policy) originRule(index int, in *authv1alpha1.JWT, path string) mesh.JWTRule {
	out := mesh.JWTRule{
		Ref: p.ref, Index: index, Issuer: in.Issuer, Audiences: in.Audiences, Params: in.JWTParams,
		Forward: true, AcceptClockSkewS: clockSkew,
		SpaceDelimited: []string{"scope", "permission"},
	}
	for _, h := range in.JWTHeaders {
		out.Headers = append(out.Headers, mesh.JWTHeader{Name: h})
	}
	if len(in.JWTHeaders)+len(in.JWTParams) == 0 {
		out.Headers = []mesh.JWTHeader{{Name: authorizationHeader, Prefix: bearer}}
		out.Params = []string{accessTokenParam}
	}
	if in.Issuer == "" && in.JWKS == "" && in.JWKSURI == "" {
		p.verdict.refuse(reasonInvalid, "%s.issuer: must be given", path)
	}
	if ks := keysOf(&out, in.Issuer, in.JWKS, in.JWKSURI, path, &p.verdict); ks != nil {
		p.keySets = append(p.keySets, *ks)
	}
	for i, t := range in.TriggerRules {
		at := fmt.Sprintf("%s.triggerRules[%d]", path, i)
		out.Triggers = append(out.Triggers, mesh.Trigger{
			Included: p.paths(t.IncludedPaths, at+".includedPaths"),
			Excluded: p.paths(t.ExcludedPaths, at+".excludedPaths"),
		})
	}
	return out
}

func (p *policy) paths(in []authv1alpha1.StringMatch, path string) []mesh.StringMatch {
	var out []mesh.StringMatch
	for i, m := range in {
		s := mesh.StringMatch{}
		n := 0
		for _, f := range []struct {
			kind  mesh.MatchKind
			value string
		}{{mesh.Exact, m.Exact}, {mesh.Prefix, m.Prefix}, {mesh.Suffix, m.Suffix}, {mesh.Regex, m.Regex}} {
			if f.value != "" {
				s.Kind, s.Value = f.kind, f.value
				n++
			}
		}
		if n != 1 {
			p.verdict.refuse(reasonInvalid, "%s[%d]: one of exact, prefix, suffix, regex must be given", path, i)
		}
		if s.Kind == mesh.Regex {
			if _, err := regexp.Compile(s.Value); err != nil {
				p.verdict.refuse(reasonInvalid, "%s[%d].regex: %v", path, i, err)
			}
		}
		out = append(out, s)
	}
	return out
}

// peerMode is what the peers part demands: the first method that succeeds is
// enough, so the mildest of them holds.
func (p *policy) peerMode() mesh.MTLSMode {
	mode := mesh.MTLSMode(0)
	for i, m := range p.spec.Peers {
		if m.MTLS == nil {
			p.verdict.refuse(reasonUnsupported, "spec.peers[%d]: only mtls is supported", i)
			continue
		}
		this := mesh.Strict
		if m.MTLS.Mode == authv1alpha1.Permissive || m.MTLS.AllowTLS || p.spec.PeerIsOptional {
			this = mesh.Permissive
		}
		if m.MTLS.AllowTLS {
			p.verdict.warn("spec.peers[%d].mtls.allowTls: TLS without a certificate of the mesh is not taken; the mode is PERMISSIVE", i)
		}
		if mode == 0 || this < mode {
			mode = this
		}
	}
	return mode
}

// targetPorts gives the ports of a service that a target names: all, if it names
// none.
func targetPorts(t authv1alpha1.TargetSelector, s *serviceObject) []corev1.ServicePort {
	ports := streamPorts(s.Service)
	if len(t.Ports) == 0 {
		return ports
	}
	var out []corev1.ServicePort
	for _, sel := range t.Ports {
		for _, sp := range ports {
			if sel.Name != "" && sel.Name == sp.Name || sel.Number != 0 && sel.Number == uint32(sp.Port) {
				out = append(out, sp)
			}
		}
	}
	return out
}
