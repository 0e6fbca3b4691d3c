package admission

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	security "istio.io/api/security/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func requestAuthentication(s subject[security.RequestAuthentication]) field.ErrorList {
	errs := labels(s.at.Child("selector", "matchLabels"), s.spec.GetSelector().GetMatchLabels())
	rules := s.spec.GetJwtRules()
	for i, r := range rules {
		at := s.at.Child("jwtRules").Index(i)
		errs = append(errs, jwtRule(at, r)...)
		for j := range i {
			if proto.Equal(rules[j], r) {
				errs = append(errs, field.Forbidden(at, fmt.Sprintf("is the same as jwtRules[%d]", j)))
				break
			}
		}
	}
	return errs
}

func jwtRule(at *field.Path, r *security.JWTRule) field.ErrorList {
	errs := keySource(at, r.GetIssuer(), r.GetJwks(), r.GetJwksUri())
	for i, h := range r.GetFromHeaders() {
		errs = append(errs, headerName(at.Child("fromHeaders").Index(i).Child("name"), h.GetName())...)
	}
	for i, p := range r.GetFromParams() {
		errs = append(errs, tokenParam(at.Child("fromParams").Index(i), p)...)
	}
	for i, c := range r.GetFromCookies() {
		if !isToken(c) {
			errs = append(errs, field.Invalid(at.Child("fromCookies").Index(i), c, "is no cookie name"))
		}
	}
	if h := r.GetOutputPayloadToHeader(); h != "" {
		errs = append(errs, headerName(at.Child("outputPayloadToHeader"), h)...)
	}
	seen := map[string]bool{}
	for i, o := range r.GetOutputClaimToHeaders() {
		header := at.Child("outputClaimToHeaders").Index(i).Child("header")
		errs = append(errs, headerName(header, o.GetHeader())...)
		if seen[o.GetHeader()] {
			errs = append(errs, field.Duplicate(header, o.GetHeader()))
		}
		seen[o.GetHeader()] = true
	}
	return errs
}
