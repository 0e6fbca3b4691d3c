package admission

import (
	security "istio.io/api/security/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func authorizationPolicy(s subject[security.AuthorizationPolicy]) field.ErrorList {
	errs := labels(s.at.Child("selector", "matchLabels"), s.spec.GetSelector().GetMatchLabels())
	action := s.spec.GetAction()
	custom := action == security.AuthorizationPolicy_CUSTOM
	switch provider := s.spec.GetProvider(); {
	case custom && provider.GetName() == "":
		errs = append(errs, field.Required(s.at.Child("provider", "name"), "the external authorizer that action CUSTOM asks"))
	case !custom && provider != nil:
		errs = append(errs, field.Forbidden(s.at.Child("provider"), "is for action CUSTOM alone"))
	}
	if len(s.spec.GetRules()) == 0 && (custom || action == security.AuthorizationPolicy_DENY) {
		errs = append(errs, field.Required(s.at.Child("rules"),
			"a policy with action "+action.String()+" and no rules matches nothing (`rules: [{}]` matches everything)"))
	}
	if spec, ok := s.raw.(map[string]any); ok {
		errs = append(errs, emptyLists(s.at.Child("rules"), spec["rules"], false)...)
	}
	for i, r := range s.spec.GetRules() {
		errs = append(errs, rule(s.at.Child("rules").Index(i), r)...)
	}
	return errs
}

// emptyLists refuses lists without elements below a rule, which the decoded form
// cannot tell from absent ones: an author who writes `principals: []` means nobody,
// and would get anybody.
func emptyLists(at *field.Path, raw any, refuse bool) field.ErrorList {
	var errs field.ErrorList
	switch v := raw.(type) {
	case map[string]any:
		for name, e := range v {
			errs = append(errs, emptyLists(at.Child(name), e, true)...)
		}
	case []any:
		if len(v) == 0 && refuse {
			return field.ErrorList{field.Required(at, "at least one element (leave the field out to mean any)")}
		}
		for i, e := range v {
			errs = append(errs, emptyLists(at.Index(i), e, refuse)...)
		}
	}
	return errs
}

func rule(at *field.Path, r *security.Rule) field.ErrorList {
	var errs field.ErrorList
	for i, f := range r.GetFrom() {
		errs = append(errs, source(at.Child("from").Index(i).Child("source"), f.GetSource())...)
	}
	for i, t := range r.GetTo() {
		errs = append(errs, operation(at.Child("to").Index(i).Child("operation"), t.GetOperation())...)
	}
	for i, w := range r.GetWhen() {
		errs = append(errs, condition(at.Child("when").Index(i), w)...)
	}
	return errs
}

// valueList is a named field of a source or operation.
type valueList struct {
	name   string
	values []string
	each   func(*field.Path, string) field.ErrorList
}

// valueLists wants some list to be there, and every value good.
func valueLists(at *field.Path, lists []valueList) field.ErrorList {
	var errs field.ErrorList
	var set bool
	for _, l := range lists {
		set = set || len(l.values) > 0
		errs = append(errs, everyValue(at.Child(l.name), l.values, l.each)...)
	}
	if !set {
		errs = append(errs, field.Required(at, "at least one of its fields"))
	}
	return errs
}

func everyValue(at *field.Path, values []string, each func(*field.Path, string) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for i, v := range values {
		if v == "" {
			errs = append(errs, field.Required(at.Index(i), "a value"))
			continue
		}
		errs = append(errs, each(at.Index(i), v)...)
	}
	return errs
}

func source(at *field.Path, s *security.Source) field.ErrorList {
	return valueLists(at, []valueList{
		{"principals", s.GetPrincipals(), pattern},
		{"notPrincipals", s.GetNotPrincipals(), pattern},
		{"requestPrincipals", s.GetRequestPrincipals(), pattern},
		{"notRequestPrincipals", s.GetNotRequestPrincipals(), pattern},
		{"namespaces", s.GetNamespaces(), pattern},
		{"notNamespaces", s.GetNotNamespaces(), pattern},
		{"serviceAccounts", s.GetServiceAccounts(), serviceAccount},
		{"notServiceAccounts", s.GetNotServiceAccounts(), serviceAccount},
		{"trustDomains", s.GetTrustDomains(), pattern},
		{"notTrustDomains", s.GetNotTrustDomains(), pattern},
		{"ipBlocks", s.GetIpBlocks(), addressBlock},
		{"notIpBlocks", s.GetNotIpBlocks(), addressBlock},
		{"remoteIpBlocks", s.GetRemoteIpBlocks(), addressBlock},
		{"notRemoteIpBlocks", s.GetNotRemoteIpBlocks(), addressBlock},
	})
}

func operation(at *field.Path, o *security.Operation) field.ErrorList {
	return valueLists(at, []valueList{
		{"hosts", o.GetHosts(), pattern},
		{"notHosts", o.GetNotHosts(), pattern},
		{"ports", o.GetPorts(), portText},
		{"notPorts", o.GetNotPorts(), portText},
		{"methods", o.GetMethods(), pattern},
		{"notMethods", o.GetNotMethods(), pattern},
		{"paths", o.GetPaths(), pathPattern},
		{"notPaths", o.GetNotPaths(), pathPattern},
	})
}
