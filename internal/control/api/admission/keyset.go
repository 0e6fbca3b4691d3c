package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// jwks wants a key set (RFC 7517, section 5) with a key in it. Its text is never
// shown: keys of type oct are secrets, and a set that does not parse may hold one.
func jwks(at *field.Path, text string) field.ErrorList {
	refuse := func(detail string) field.ErrorList {
		return field.ErrorList{field.Invalid(at, omitted, detail)}
	}
	var set struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		if e := (*json.SyntaxError)(nil); errors.As(err, &e) {
			return refuse(fmt.Sprintf("is not JSON: wrong at byte %d of %d", e.Offset, len(text)))
		}
		return refuse(`is no key set: it must be a JSON object with an array "keys" of objects`)
	}
	if len(set.Keys) == 0 {
		return refuse(`is no key set: it must have at least one key in its array "keys"`)
	}
	for i, key := range set.Keys {
		var kty string
		if err := json.Unmarshal(key["kty"], &kty); err != nil || kty == "" {
			return refuse(fmt.Sprintf(`is no key set: key %d has no type ("kty")`, i))
		}
	}
	return nil
}

// jwksURI wants an absolute http or https URI without user information. An error
// shows the URI without user information and query, which may be secrets.
func jwksURI(at *field.Path, value string) field.ErrorList {
	u, err := url.Parse(value)
	if err != nil {
		return field.ErrorList{field.Invalid(at, omitted, "is no URI")}
	}
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	refuse := func(detail string) field.ErrorList {
		return field.ErrorList{field.Invalid(at, shown, detail)}
	}
	switch {
	case u.User != nil:
		return field.ErrorList{field.Invalid(at, omitted, "must not carry user name or password")}
	case u.Opaque != "":
		return field.ErrorList{field.Invalid(at, omitted, "must begin with http:// or https://")}
	case u.Scheme != "http" && u.Scheme != "https":
		return refuse("must begin with http:// or https://")
	case u.Hostname() == "":
		return refuse("must name a host")
	case u.Fragment != "":
		return refuse("must not have a fragment")
	case strings.ContainsAny(value, " \t\r\n"):
		return refuse("must not contain white space")
	}
	if !isAddress(u.Hostname()) {
		if errs := host(at, u.Hostname()); len(errs) > 0 {
			return errs
		}
	}
	if p := u.Port(); p != "" {
		var n uint32
		if _, err := fmt.Sscanf(p, "%d", &n); err != nil || n < 1 || n > 65535 {
			return refuse("its port must be from 1 to 65535")
		}
	}
	return nil
}

// keySource wants at most one of an inline key set and a URI, and, if neither, an
// issuer that discovery can start from.
func keySource(at *field.Path, issuer, inline, uri string) field.ErrorList {
	var errs field.ErrorList
	if inline != "" && uri != "" {
		errs = append(errs, field.Forbidden(at.Child("jwks"), "may not be set together with jwksUri"))
	}
	if inline != "" {
		errs = append(errs, jwks(at.Child("jwks"), inline)...)
	}
	if uri != "" {
		errs = append(errs, jwksURI(at.Child("jwksUri"), uri)...)
	}
	if inline != "" || uri != "" {
		return errs
	}
	if issuer == "" {
		return append(errs, field.Required(at.Child("issuer"), "an issuer, unless jwksUri or jwks says where its keys are"))
	}
	if u, err := url.Parse(issuer); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		errs = append(errs, field.Required(at.Child("jwksUri"),
			"where the keys are (jwksUri or jwks): an issuer that is no http:// or https:// URI cannot be asked for them"))
	}
	return errs
}

// tokenParam wants the name of a query parameter.
func tokenParam(at *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "a name")}
	}
	if strings.ContainsAny(name, "\r\n\x00&=# ") {
		return field.ErrorList{field.Invalid(at, name, "is no name of a query parameter")}
	}
	return nil
}
