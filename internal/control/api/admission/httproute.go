package admission

import (
	"math"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func httpRoute(at *field.Path, r *networking.HTTPRoute) field.ErrorList {
	errs := oneAction(at, r)
	for i, m := range r.GetMatch() {
		errs = append(errs, httpMatch(at.Child("match").Index(i), m)...)
	}
	weights := make([]int32, len(r.GetRoute()))
	for i, d := range r.GetRoute() {
		errs = append(errs, destination(at.Child("route").Index(i).Child("destination"), d.GetDestination())...)
		errs = append(errs, headerOperations(at.Child("route").Index(i).Child("headers"), d.GetHeaders())...)
		weights[i] = d.GetWeight()
	}
	errs = append(errs, weighted(at.Child("route"), weights)...)
	errs = append(errs, headerOperations(at.Child("headers"), r.GetHeaders())...)
	errs = append(errs, redirect(at.Child("redirect"), r.GetRedirect())...)
	if d := r.GetDirectResponse(); d != nil && (d.GetStatus() < 200 || d.GetStatus() > 599) {
		errs = append(errs, field.Invalid(at.Child("directResponse", "status"), d.GetStatus(), "must be from 200 to 599"))
	}
	if w := r.GetRewrite(); w != nil {
		if w.GetUri() == "" && w.GetAuthority() == "" && w.GetUriRegexRewrite() == nil {
			errs = append(errs, field.Required(at.Child("rewrite"), "uri, uriRegexRewrite or authority"))
		}
		if x := w.GetUriRegexRewrite(); x != nil {
			if w.GetUri() != "" {
				errs = append(errs, field.Forbidden(at.Child("rewrite", "uriRegexRewrite"), "may not be set together with uri"))
			}
			errs = append(errs, regex(at.Child("rewrite", "uriRegexRewrite", "match"), x.GetMatch())...)
		}
	}
	if n := r.GetRetries().GetAttempts(); n < 0 {
		errs = append(errs, field.Invalid(at.Child("retries", "attempts"), n, "must not be negative"))
	}
	if _, _, unknown := RetryOn(r.GetRetries().GetRetryOn()); len(unknown) > 0 {
		errs = append(errs, field.NotSupported(at.Child("retries", "retryOn"), unknown[0], retryConditions))
	}
	errs = append(errs, fault(at.Child("fault"), r.GetFault())...)
	errs = append(errs, mirrors(at, r)...)
	return append(errs, cors(at.Child("corsPolicy"), r.GetCorsPolicy())...)
}

// oneAction wants exactly one of what can be done with a request.
func oneAction(at *field.Path, r *networking.HTTPRoute) field.ErrorList {
	var set []string
	if len(r.GetRoute()) > 0 {
		set = append(set, "route")
	}
	if r.GetRedirect() != nil {
		set = append(set, "redirect")
	}
	if r.GetDirectResponse() != nil {
		set = append(set, "directResponse")
	}
	if r.GetDelegate() != nil {
		set = append(set, "delegate")
	}
	var errs field.ErrorList
	if len(set) == 0 {
		errs = append(errs, field.Required(at, "one of route, redirect, directResponse and delegate"))
	}
	for i := 1; i < len(set); i++ {
		errs = append(errs, field.Forbidden(at.Child(set[i]), "may not be set together with "+set[0]))
	}
	if r.GetRewrite() != nil && r.GetRedirect() != nil {
		errs = append(errs, field.Forbidden(at.Child("rewrite"), "may not be set together with redirect"))
	}
	return errs
}

func destination(at *field.Path, d *networking.Destination) field.ErrorList {
	var errs field.ErrorList
	switch h := d.GetHost(); {
	case h == "*":
		errs = append(errs, field.Invalid(at.Child("host"), h, "must name one service"))
	case !isAddress(h):
		errs = append(errs, wildcardHost(at.Child("host"), h)...)
	}
	if s := d.GetSubset(); s != "" {
		errs = append(errs, label(at.Child("subset"), s)...)
	}
	if p := d.GetPort(); p != nil {
		errs = append(errs, port(at.Child("port", "number"), p.GetNumber())...)
	}
	return errs
}

// weighted wants weights that are not negative and, where there is a choice, not all
// zero; their sum must fit Envoy's 32 bits.
func weighted(at *field.Path, weights []int32) field.ErrorList {
	var errs field.ErrorList
	var sum, largest int64
	for i, w := range weights {
		largest = max(largest, int64(w))
		if w < 0 {
			errs = append(errs, field.Invalid(at.Index(i).Child("weight"), w, "must not be negative"))
		}
		sum += int64(w)
	}
	if len(weights) > 1 && largest == 0 {
		errs = append(errs, field.Invalid(at, omitted, "the weights of its destinations are all 0: none would get a request"))
	}
	if sum > math.MaxUint32 {
		errs = append(errs, field.Invalid(at, sum, "the sum of weights must be less than 2^32"))
	}
	return errs
}

func redirect(at *field.Path, r *networking.HTTPRedirect) field.ErrorList {
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	if r.GetUri() == "" && r.GetPrefixRewrite() == "" && r.GetAuthority() == "" && r.GetScheme() == "" && r.GetRedirectPort() == nil {
		errs = append(errs, field.Required(at, "where to: uri, authority, scheme, port or derivePort"))
	}
	switch c := r.GetRedirectCode(); c {
	case 0, 301, 302, 303, 307, 308:
	default:
		errs = append(errs, field.Invalid(at.Child("redirectCode"), c, "must be 301, 302, 303, 307 or 308"))
	}
	if s := r.GetScheme(); s != "" && s != "http" && s != "https" {
		errs = append(errs, field.NotSupported(at.Child("scheme"), s, []string{"http", "https"}))
	}
	return errs
}
