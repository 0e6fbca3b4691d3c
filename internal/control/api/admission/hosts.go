package admission

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// host wants a DNS name without wildcard, short or fully qualified.
func host(at *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "a host name")}
	}
	return dnsName(at, value, strings.TrimSuffix(value, "."))
}

// wildcardHost wants `*`, `*.` and a DNS name, or a DNS name.
func wildcardHost(at *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "a host name, or * for any")}
	}
	if value == "*" {
		return nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(value, "*."), ".")
	return dnsName(at, value, name)
}

func dnsName(at *field.Path, value, name string) field.ErrorList {
	if len(name) > 253 {
		return field.ErrorList{field.TooLong(at, "", 253)}
	}
	for _, label := range strings.Split(name, ".") {
		if !dnsLabel(label) {
			return field.ErrorList{field.Invalid(at, value, "is no host name: the part "+quoted(label)+
				" must be 1 to 63 letters, digits, - or _, and begin and end with a letter or digit")}
		}
	}
	return nil
}

// dnsLabel also takes underscores inside and capitals, as Istio does for hosts.
func dnsLabel(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || i == len(s)-1 || c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// namespacedHost wants `[NAMESPACE/]HOST`, where NAMESPACE may be `.` or `*`, and
// also the words in extra.
func namespacedHost(at *field.Path, value string, extra ...string) field.ErrorList {
	ns, name, ok := strings.Cut(value, "/")
	if !ok {
		return wildcardHost(at, value)
	}
	for _, e := range append(extra, "*", ".") {
		if ns == e {
			return wildcardHost(at, name)
		}
	}
	if msgs := validation.IsDNS1123Label(ns); len(msgs) > 0 {
		return field.ErrorList{field.Invalid(at, value, "the namespace before the slash must be a name, . or *")}
	}
	return wildcardHost(at, name)
}

// exportTo wants namespaces, `.`, `*` or `~`.
func exportTo(at *field.Path, values []string) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, v := range values {
		switch {
		case seen[v]:
			errs = append(errs, field.Duplicate(at.Index(i), v))
		case v == "." || v == "*" || v == "~":
		case len(validation.IsDNS1123Label(v)) > 0:
			errs = append(errs, field.Invalid(at.Index(i), v, "must be a namespace, . or *"))
		}
		seen[v] = true
	}
	return errs
}

// port wants a number from 1 to 65535.
func port(at *field.Path, n uint32) field.ErrorList {
	if n < 1 || n > 65535 {
		return field.ErrorList{field.Invalid(at, n, "must be a port from 1 to 65535")}
	}
	return nil
}

// addressBlock wants an IP address or a CIDR block.
func addressBlock(at *field.Path, value string) field.ErrorList {
	if strings.Contains(value, "/") {
		if _, err := netip.ParsePrefix(value); err == nil {
			return nil
		}
	} else if a, err := netip.ParseAddr(value); err == nil && a.Zone() == "" {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value, "must be an IP address or a CIDR block such as 10.1.0.0/16")}
}

func isAddress(value string) bool {
	_, err := netip.ParseAddr(value)
	return err == nil
}

// label wants a name of lower-case letters, digits and dashes (a DNS label).
func label(at *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "a name")}
	}
	if msgs := validation.IsDNS1123Label(value); len(msgs) > 0 {
		return field.ErrorList{field.Invalid(at, value, strings.Join(msgs, "; "))}
	}
	return nil
}

// labels wants label keys and values as Kubernetes has them.
func labels(at *field.Path, values map[string]string) field.ErrorList {
	var errs field.ErrorList
	for k, v := range values {
		if msgs := validation.IsQualifiedName(k); len(msgs) > 0 {
			errs = append(errs, field.Invalid(at, k, strings.Join(msgs, "; ")))
		}
		if msgs := validation.IsValidLabelValue(v); len(msgs) > 0 {
			errs = append(errs, field.Invalid(at.Key(k), v, strings.Join(msgs, "; ")))
		}
	}
	return errs
}

func quoted(s string) string {
	if s == "" {
		return `""`
	}
	return `"` + s + `"`
}
