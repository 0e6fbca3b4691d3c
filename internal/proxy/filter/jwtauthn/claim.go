package jwtauthn

import (
	"strings"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// text gives a claim as a header's value; false if it is absent or null.
func (c *claimHeader) text(claims jsondoc.Value) (string, bool) {
	v := lookup(claims, c.path, c.dotted)
	if s, ok := v.Scalar(); ok {
		return s, true
	}
	if s, ok := listText(v); ok {
		return s, true
	}
	if k := v.Kind(); k == jsondoc.Absent || k == jsondoc.Null {
		return "", false
	}
	return v.JSON(), true
}

// lookup follows a path. If it was split at dots, a claim's own name may have
// dots too: the shortest name that leads somewhere is taken.
func lookup(m jsondoc.Value, path []string, dotted bool) jsondoc.Value {
	for n := 1; n <= len(path); n++ {
		v := m.Get(strings.Join(path[:n], "."))
		if n == len(path) {
			return v
		}
		// Only what the token has is followed: each further way doubles with a dot.
		if v.Kind() == jsondoc.Object {
			if v = lookup(v, path[n:], dotted); v != nil {
				return v
			}
		}
		if !dotted {
			break
		}
	}
	return nil
}

// listText joins a list of scalars by commas.
func listText(l jsondoc.Value) (string, bool) {
	if l.Kind() != jsondoc.Array {
		return "", false
	}
	var parts []string
	for _, e := range l.All() {
		s, ok := e.Scalar()
		if !ok {
			return "", false
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ","), true
}

// fieldValue tells whether a text can be a header's value (RFC 9110, 5.5).
func fieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// splitClaims gives the claims with those of the names that are text split at
// spaces into lists (normalize_payload_in_metadata). Text of nothing else stays.
func splitClaims(claims jsondoc.Value, names []string) jsondoc.Value {
	out := claims.Any().(map[string]any)
	for _, n := range names {
		s, ok := out[n].(string)
		if !ok {
			continue
		}
		var l []any
		for p := range strings.SplitSeq(s, " ") {
			if p != "" {
				l = append(l, p)
			}
		}
		if l == nil {
			continue
		}
		out[n] = l
	}
	return jsondoc.Of(out)
}
