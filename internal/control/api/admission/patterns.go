package admission

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// pattern wants an exact value, `abc*`, `*abc` or `*`. A star anywhere else would be
// taken for a literal one.
func pattern(at *field.Path, value string) field.ErrorList {
	if value == "*" {
		return nil
	}
	inner := value
	if p, ok := strings.CutPrefix(value, "*"); ok {
		inner = p
	} else {
		inner = strings.TrimSuffix(value, "*")
	}
	if strings.Contains(inner, "*") {
		return field.ErrorList{field.Invalid(at, value, "may have one *, at its beginning or at its end")}
	}
	return nil
}

// pathPattern also takes path templates: `{*}` for one segment, `{**}` once for any
// number of segments, at the end of what varies.
func pathPattern(at *field.Path, value string) field.ErrorList {
	if !strings.Contains(value, "{*}") && !strings.Contains(value, "{**}") {
		return pattern(at, value)
	}
	refuse := func(detail string) field.ErrorList {
		return field.ErrorList{field.Invalid(at, value, detail)}
	}
	rest := false // a {**} has been seen
	for _, segment := range strings.Split(value, "/") {
		switch {
		case segment == "{*}" || segment == "{**}":
			if rest {
				return refuse("{**} must be the last template in a path")
			}
			rest = segment == "{**}"
		case strings.ContainsAny(segment, "{}*"):
			return refuse("in a path with templates, " + quoted(segment) + " must be {*}, {**} or a literal segment")
		}
	}
	return nil
}

// portText wants a port's number as text.
func portText(at *field.Path, value string) field.ErrorList {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return field.ErrorList{field.Invalid(at, value, "must be a port from 1 to 65535")}
	}
	return port(at, uint32(n))
}

// serviceAccount wants `[NAMESPACE/]NAME` without wildcards.
func serviceAccount(at *field.Path, value string) field.ErrorList {
	ns, name, ok := strings.Cut(value, "/")
	if !ok {
		ns, name = "default", value
	}
	if len(validation.IsDNS1123Label(ns)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return field.ErrorList{field.Invalid(at, value, "must be a service account, as NAME or NAMESPACE/NAME, without *")}
	}
	return nil
}
