package admission

import (
	"regexp/syntax"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxRegex is the longest regular expression, in bytes: it bounds the memory that a
// compiled one takes at every proxy.
const maxRegex = 1024

// regex wants an RE2 expression.
func regex(at *field.Path, value string) field.ErrorList {
	if len(value) > maxRegex {
		return field.ErrorList{field.TooLong(at, "", maxRegex)}
	}
	if value == "" {
		return field.ErrorList{field.Required(at, "a regular expression")}
	}
	if _, err := syntax.Parse(value, syntax.Perl); err != nil {
		return field.ErrorList{field.Invalid(at, value, "is no regular expression (RE2): "+err.Error())}
	}
	return nil
}

// stringMatch wants a match that says something. Exact may be empty where emptyExact.
func stringMatch(at *field.Path, m *networking.StringMatch, emptyExact bool) field.ErrorList {
	switch t := m.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		if t.Exact == "" && !emptyExact {
			return field.ErrorList{field.Required(at.Child("exact"), "a value")}
		}
	case *networking.StringMatch_Prefix:
		if t.Prefix == "" {
			return field.ErrorList{field.Required(at.Child("prefix"), "a value")}
		}
	case *networking.StringMatch_Regex:
		return regex(at.Child("regex"), t.Regex)
	case nil:
		return field.ErrorList{field.Required(at, "one of exact, prefix and regex")}
	}
	return nil
}

// headerName wants a field name of RFC 9110, section 5.1.
func headerName(at *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "a header name")}
	}
	if !isToken(name) {
		return field.ErrorList{field.Invalid(at, name, "is no header name")}
	}
	return nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// headerValue wants text without line ends or NUL. The value is not shown: headers
// carry credentials.
func headerValue(at *field.Path, value string) field.ErrorList {
	if strings.ContainsAny(value, "\r\n\x00") {
		return field.ErrorList{field.Invalid(at, omitted, "must not contain line ends or NUL")}
	}
	return nil
}
