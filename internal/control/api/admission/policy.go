package admission

import (
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
)

// The one name of a policy for a whole namespace or mesh.
const defaultPolicy = "default"

func policy(s subject[v1alpha1.PolicySpec]) field.ErrorList {
	var errs field.ErrorList
	name := field.NewPath("metadata", "name")
	switch {
	case s.name == defaultPolicy && len(s.spec.Targets) > 0:
		errs = append(errs, field.Forbidden(s.at.Child("targets"),
			`the policy named "default" is for its whole namespace: give it no targets, or another name`))
	case s.name != defaultPolicy && len(s.spec.Targets) == 0:
		errs = append(errs, field.Invalid(name, s.name,
			`a policy without targets is for its whole namespace and must be named "default" (otherwise name services in spec.targets)`))
	}
	seen := map[string]bool{}
	for i, t := range s.spec.Targets {
		at := s.at.Child("targets").Index(i)
		errs = append(errs, targetPorts(at.Child("ports"), t.Ports)...)
		if e := label(at.Child("name"), t.Name); len(e) > 0 {
			errs = append(errs, e...)
			continue
		}
		if seen[t.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), t.Name))
		}
		seen[t.Name] = true
	}
	return append(errs, methods(s)...)
}

func meshPolicy(s subject[v1alpha1.PolicySpec]) field.ErrorList {
	var errs field.ErrorList
	if s.name != defaultPolicy {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), s.name, `the mesh's policy must be named "default"`))
	}
	if len(s.spec.Targets) > 0 {
		errs = append(errs, field.Forbidden(s.at.Child("targets"), "the mesh's policy is for every service: it has no targets"))
	}
	return append(errs, methods(s)...)
}

func targetPorts(at *field.Path, ports []v1alpha1.PortSelector) field.ErrorList {
	var errs field.ErrorList
	seen := map[v1alpha1.PortSelector]bool{}
	for i, p := range ports {
		switch {
		case seen[p]:
			errs = append(errs, field.Duplicate(at.Index(i), p))
		case p.Name != "":
			errs = append(errs, label(at.Index(i).Child("name"), p.Name)...)
		default:
			errs = append(errs, port(at.Index(i).Child("number"), p.Number)...)
		}
		seen[p] = true
	}
	return errs
}

// methods judges peers and origins.
func methods(s subject[v1alpha1.PolicySpec]) field.ErrorList {
	var errs field.ErrorList
	for i, p := range s.spec.Peers {
		at := s.at.Child("peers").Index(i)
		if p.JWT != nil {
			errs = append(errs, policyJWT(at.Child("jwt"), p.JWT)...)
		}
		for j := range i {
			if reflect.DeepEqual(s.spec.Peers[j], p) {
				errs = append(errs, field.Forbidden(at, "is the same as "+s.at.Child("peers").Index(j).String()))
				break
			}
		}
	}
	for i, o := range s.spec.Origins {
		at := s.at.Child("origins").Index(i)
		if o.JWT == nil {
			errs = append(errs, field.Required(at.Child("jwt"), "which tokens are good"))
			continue
		}
		errs = append(errs, policyJWT(at.Child("jwt"), o.JWT)...)
		for j := range i {
			if reflect.DeepEqual(s.spec.Origins[j], o) {
				errs = append(errs, field.Forbidden(at, "is the same as "+s.at.Child("origins").Index(j).String()))
				break
			}
		}
	}
	return errs
}

func policyJWT(at *field.Path, j *v1alpha1.JWT) field.ErrorList {
	var errs field.ErrorList
	if j.Issuer == "" {
		errs = append(errs, field.Required(at.Child("issuer"), "the issuer of the tokens (their claim iss)"))
	} else {
		errs = append(errs, keySource(at, j.Issuer, j.JWKS, j.JWKSURI)...)
	}
	for i, a := range j.Audiences {
		if a == "" {
			errs = append(errs, field.Required(at.Child("audiences").Index(i), "an audience"))
		}
	}
	for i, h := range j.JWTHeaders {
		errs = append(errs, headerName(at.Child("jwtHeaders").Index(i), h)...)
	}
	for i, p := range j.JWTParams {
		errs = append(errs, tokenParam(at.Child("jwtParams").Index(i), p)...)
	}
	for i, r := range j.TriggerRules {
		rule := at.Child("triggerRules").Index(i)
		errs = append(errs, pathMatches(rule.Child("excludedPaths"), r.ExcludedPaths)...)
		errs = append(errs, pathMatches(rule.Child("includedPaths"), r.IncludedPaths)...)
	}
	return errs
}

func pathMatches(at *field.Path, matches []v1alpha1.StringMatch) field.ErrorList {
	var errs field.ErrorList
	for i, m := range matches {
		switch {
		case m.Regex != "":
			errs = append(errs, regex(at.Index(i).Child("regex"), m.Regex)...)
		case m == v1alpha1.StringMatch{}:
			errs = append(errs, field.Required(at.Index(i), "one of exact, prefix, suffix and regex, not empty"))
		}
	}
	return errs
}
