package admission

import (
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func httpMatch(at *field.Path, m *networking.HTTPMatchRequest) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name  string
		match *networking.StringMatch
	}{{"uri", m.GetUri()}, {"scheme", m.GetScheme()}, {"method", m.GetMethod()}, {"authority", m.GetAuthority()}} {
		if f.match != nil {
			errs = append(errs, stringMatch(at.Child(f.name), f.match, false)...)
		}
	}
	for name, value := range m.GetHeaders() {
		errs = append(errs, matchedHeader(at.Child("headers").Key(name), name, value)...)
	}
	for name, value := range m.GetWithoutHeaders() {
		errs = append(errs, matchedHeader(at.Child("withoutHeaders").Key(name), name, value)...)
	}
	for name, value := range m.GetQueryParams() {
		at := at.Child("queryParams").Key(name)
		if name == "" {
			errs = append(errs, field.Required(at, "the name of a parameter"))
		}
		if value.GetMatchType() != nil {
			errs = append(errs, stringMatch(at, value, true)...)
		}
	}
	if p := m.GetPort(); p != 0 {
		errs = append(errs, port(at.Child("port"), p)...)
	}
	errs = append(errs, labels(at.Child("sourceLabels"), m.GetSourceLabels())...)
	return append(errs, vsGateways(at.Child("gateways"), m.GetGateways())...)
}

// matchedHeader takes a header's name, `@request.auth.claims...` for a claim, and a
// match; no match means that the header is there.
func matchedHeader(at *field.Path, name string, m *networking.StringMatch) field.ErrorList {
	var errs field.ErrorList
	if len(name) == 0 || name[0] != '@' {
		errs = headerName(at, name)
	} else if !isClaim(name) {
		errs = field.ErrorList{field.Invalid(at, name, "must be @request.auth.claims.NAME or @request.auth.claims[NAME]")}
	}
	if m.GetMatchType() != nil {
		errs = append(errs, stringMatch(at, m, true)...)
	}
	return errs
}

func isClaim(name string) bool {
	const prefix = "@request.auth.claims"
	if len(name) <= len(prefix)+1 || name[:len(prefix)] != prefix {
		return false
	}
	rest := name[len(prefix):]
	if rest[0] == '.' {
		return true
	}
	_, ok := indices(rest)
	return ok
}

func headerOperations(at *field.Path, h *networking.Headers) field.ErrorList {
	var errs field.ErrorList
	for _, side := range []struct {
		name string
		ops  *networking.Headers_HeaderOperations
	}{{"request", h.GetRequest()}, {"response", h.GetResponse()}} {
		at := at.Child(side.name)
		for name, value := range side.ops.GetSet() {
			errs = append(errs, settableHeader(at.Child("set").Key(name), name, value)...)
		}
		for name, value := range side.ops.GetAdd() {
			errs = append(errs, settableHeader(at.Child("add").Key(name), name, value)...)
		}
		for i, name := range side.ops.GetRemove() {
			errs = append(errs, headerName(at.Child("remove").Index(i), name)...)
		}
	}
	return errs
}

// settableHeader also takes :authority, which Istio sets as the host.
func settableHeader(at *field.Path, name, value string) field.ErrorList {
	var errs field.ErrorList
	if name != ":authority" {
		errs = headerName(at, name)
	}
	return append(errs, headerValue(at, value)...)
}
