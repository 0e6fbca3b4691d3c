package admission

import (
	"strings"

	security "istio.io/api/security/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// conditionKeys are the keys of `when` that stand by themselves, and what their
// values must be.
var conditionKeys = map[string]func(*field.Path, string) field.ErrorList{
	"source.ip":              addressBlock,
	"remote.ip":              addressBlock,
	"source.namespace":       pattern,
	"source.principal":       pattern,
	"source.serviceAccount":  serviceAccount,
	"source.trustDomain":     pattern,
	"request.auth.principal": pattern,
	"request.auth.audiences": pattern,
	"request.auth.presenter": pattern,
	"destination.ip":         addressBlock,
	"destination.port":       portText,
	"connection.sni":         pattern,
}

func condition(at *field.Path, c *security.Condition) field.ErrorList {
	each, errs := conditionKey(at.Child("key"), c.GetKey())
	if len(c.GetValues()) == 0 && len(c.GetNotValues()) == 0 {
		errs = append(errs, field.Required(at.Child("values"), "at least one value, or notValues"))
	}
	errs = append(errs, everyValue(at.Child("values"), c.GetValues(), each)...)
	return append(errs, everyValue(at.Child("notValues"), c.GetNotValues(), each)...)
}

// conditionKey wants a known key and gives the check of its values.
func conditionKey(at *field.Path, key string) (func(*field.Path, string) field.ErrorList, field.ErrorList) {
	if each := conditionKeys[key]; each != nil {
		return each, nil
	}
	refuse := func(detail string) (func(*field.Path, string) field.ErrorList, field.ErrorList) {
		return pattern, field.ErrorList{field.Invalid(at, key, detail)}
	}
	if index, ok := strings.CutPrefix(key, "request.headers"); ok {
		names, ok := indices(index)
		if !ok || len(names) != 1 || !isToken(names[0]) {
			return refuse("must be request.headers[NAME] with the name of a header")
		}
		return pattern, nil
	}
	if index, ok := strings.CutPrefix(key, "request.auth.claims"); ok {
		if _, ok := indices(index); !ok {
			return refuse("must be request.auth.claims[NAME], with more [NAME] for nested claims")
		}
		return pattern, nil
	}
	if index, ok := strings.CutPrefix(key, "experimental.envoy.filters."); ok && strings.Contains(index, "[") {
		return refuse("is not supported: no filter of the mesh gives such metadata")
	}
	return refuse("is no key of a condition")
}

// indices splits `[a][b]`; ok is false for anything else.
func indices(s string) (names []string, ok bool) {
	for s != "" {
		inner, rest, found := strings.Cut(strings.TrimPrefix(s, "["), "]")
		if s[0] != '[' || !found || inner == "" || strings.Contains(inner, "[") {
			return nil, false
		}
		names = append(names, inner)
		s = rest
	}
	return names, len(names) > 0
}
