package translate

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

const dryRunAnnotation = "istio.io/dry-run"

// authorization is an AuthorizationPolicy by itself.
type authorization struct {
	ref mesh.Ref
	selection
	policy  *mesh.AuthorizationPolicy
	verdict verdict
}

func translateAuthorization(ref mesh.Ref, o *securityv1.AuthorizationPolicy) *authorization {
	a := &authorization{ref: ref, policy: &mesh.AuthorizationPolicy{Ref: ref}}
	v := &a.verdict
	a.selection = selectionOf(o.Namespace, o.Spec.Selector, o.Spec.TargetRef, o.Spec.TargetRefs, v)
	switch o.Spec.Action {
	case securityapi.AuthorizationPolicy_ALLOW:
		a.policy.Action = mesh.Allow
	case securityapi.AuthorizationPolicy_DENY:
		a.policy.Action = mesh.Deny
	case securityapi.AuthorizationPolicy_AUDIT:
		a.policy.Action = mesh.Audit
		v.warn("spec.action: AUDIT matches are counted by no one yet")
	default:
		v.refuse(reasonUnsupported, "spec.action: %s is not supported yet; what the object selects is denied", o.Spec.Action)
	}
	if len(o.Spec.Rules) == 0 && o.Spec.Action != securityapi.AuthorizationPolicy_ALLOW {
		v.refuse(reasonInvalid, "spec.rules: %s needs rules", o.Spec.Action)
	}
	if text, ok := o.Annotations[dryRunAnnotation]; ok {
		dry, err := strconv.ParseBool(text)
		if err != nil {
			v.refuse(reasonInvalid, "metadata.annotations[%s]: must be true or false", dryRunAnnotation)
		}
		a.policy.DryRun = dry
	}
	for i, r := range o.Spec.Rules {
		a.policy.Rules = append(a.policy.Rules, rule(r, fmt.Sprintf("spec.rules[%d]", i), o.Namespace, v))
	}
	return a
}

func rule(in *securityapi.Rule, path, namespace string, v *verdict) mesh.AuthorizationRule {
	var out mesh.AuthorizationRule
	for i, f := range in.GetFrom() {
		s, at := f.GetSource(), fmt.Sprintf("%s.from[%d].source", path, i)
		src := mesh.Source{
			Principals:        mesh.Values{In: s.GetPrincipals(), NotIn: s.GetNotPrincipals()},
			RequestPrincipals: mesh.Values{In: s.GetRequestPrincipals(), NotIn: s.GetNotRequestPrincipals()},
			Namespaces:        mesh.Values{In: s.GetNamespaces(), NotIn: s.GetNotNamespaces()},
			ServiceAccounts: mesh.Values{
				In:    accounts(s.GetServiceAccounts(), namespace, at+".serviceAccounts", v),
				NotIn: accounts(s.GetNotServiceAccounts(), namespace, at+".notServiceAccounts", v),
			},
			IPBlocks:       mesh.Values{In: s.GetIpBlocks(), NotIn: s.GetNotIpBlocks()},
			RemoteIPBlocks: mesh.Values{In: s.GetRemoteIpBlocks(), NotIn: s.GetNotRemoteIpBlocks()},
			TrustDomains:   mesh.Values{In: s.GetTrustDomains(), NotIn: s.GetNotTrustDomains()},
		}
		checkBlocks(src.IPBlocks, at+".ipBlocks", v)
		checkBlocks(src.RemoteIPBlocks, at+".remoteIpBlocks", v)
		if emptySource(&src) {
			v.refuse(reasonInvalid, "%s: must not be empty", at)
		}
		out.From = append(out.From, src)
	}
	for i, t := range in.GetTo() {
		o, at := t.GetOperation(), fmt.Sprintf("%s.to[%d].operation", path, i)
		op := mesh.Operation{
			Hosts:   mesh.Values{In: o.GetHosts(), NotIn: o.GetNotHosts()},
			Ports:   mesh.Values{In: o.GetPorts(), NotIn: o.GetNotPorts()},
			Methods: mesh.Values{In: o.GetMethods(), NotIn: o.GetNotMethods()},
			Paths:   mesh.Values{In: o.GetPaths(), NotIn: o.GetNotPaths()},
		}
		checkPorts(op.Ports, at+".ports", v)
		checkPaths(op.Paths, at+".paths", v)
		if op.Hosts.Empty() && op.Ports.Empty() && op.Methods.Empty() && op.Paths.Empty() {
			v.refuse(reasonInvalid, "%s: must not be empty", at)
		}
		out.To = append(out.To, op)
	}
	for i, c := range in.GetWhen() {
		at := fmt.Sprintf("%s.when[%d]", path, i)
		cond := mesh.Condition{Key: c.GetKey(), Values: mesh.Values{In: c.GetValues(), NotIn: c.GetNotValues()}}
		if cond.Values.Empty() {
			v.refuse(reasonInvalid, "%s: values or notValues must be given", at)
		}
		switch cond.Key {
		case "source.ip", "remote.ip", "destination.ip":
			checkBlocks(cond.Values, at, v)
		case "destination.port":
			checkPorts(cond.Values, at, v)
		case "source.serviceAccount":
			cond.Values = mesh.Values{In: accounts(cond.In, namespace, at, v), NotIn: accounts(cond.NotIn, namespace, at, v)}
		default:
			if !knownKey(cond.Key) {
				v.refuse(reasonUnsupported, "%s.key: %q is not an attribute that can be matched", at, cond.Key)
			}
		}
		out.When = append(out.When, cond)
	}
	return out
}

func emptySource(s *mesh.Source) bool {
	return s.Principals.Empty() && s.RequestPrincipals.Empty() && s.Namespaces.Empty() && s.ServiceAccounts.Empty() &&
		s.IPBlocks.Empty() && s.RemoteIPBlocks.Empty() && s.TrustDomains.Empty()
}

// knownKey tells whether a condition's key, of those without a format of their
// values, is known.
func knownKey(key string) bool {
	switch key {
	case "source.namespace", "source.principal", "source.trustDomain",
		"request.auth.principal", "request.auth.audiences", "request.auth.presenter", "connection.sni":
		return true
	}
	if name, ok := strings.CutPrefix(key, "request.headers["); ok {
		name, ok = strings.CutSuffix(name, "]")
		return ok && name != "" && !strings.ContainsAny(name, "[] ")
	}
	return mesh.ClaimPath(key) != nil
}

// accounts makes "namespace/account" of each account.
func accounts(in []string, namespace, path string, v *verdict) []string {
	var out []string
	for _, a := range in {
		ns, sa, ok := strings.Cut(a, "/")
		if !ok {
			ns, sa = namespace, a
		}
		if ns == "" || sa == "" || strings.ContainsAny(a, "*") || strings.Contains(sa, "/") {
			v.refuse(reasonInvalid, "%s: %q must be an account or namespace/account, without wildcards", path, a)
		}
		out = append(out, ns+"/"+sa)
	}
	return out
}

func checkBlocks(in mesh.Values, path string, v *verdict) {
	for _, list := range [][]string{in.In, in.NotIn} {
		for _, b := range list {
			if _, err := netip.ParseAddr(b); err == nil {
				continue
			}
			if _, err := netip.ParsePrefix(b); err != nil {
				v.refuse(reasonInvalid, "%s: %q is neither an address nor a block", path, b)
			}
		}
	}
}

func checkPorts(in mesh.Values, path string, v *verdict) {
	for _, list := range [][]string{in.In, in.NotIn} {
		for _, s := range list {
			if n, err := strconv.ParseUint(s, 10, 16); err != nil || n == 0 {
				v.refuse(reasonInvalid, "%s: %q is not a port", path, s)
			}
		}
	}
}

// checkPaths refuses templates that mean nothing: {*} is one whole segment, {**}
// the last one.
func checkPaths(in mesh.Values, path string, v *verdict) {
	for _, list := range [][]string{in.In, in.NotIn} {
		for _, s := range list {
			if !strings.ContainsAny(s, "{}") {
				continue
			}
			segments := strings.Split(s, "/")
			for i, seg := range segments {
				switch {
				case seg == "{*}", seg == "{**}" && i == len(segments)-1:
				case strings.ContainsAny(seg, "{}*"):
					v.refuse(reasonInvalid, "%s: %q: only {*} as a segment and {**} as the last one can stand in a template", path, s)
				}
			}
		}
	}
}
