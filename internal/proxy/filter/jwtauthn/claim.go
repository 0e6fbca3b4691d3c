package jwtauthn

import (
	"encoding/json"
	"maps"
	"strings"
)

// text gives a claim as a header's value; false if it is absent, null, or an
// object or list that JSON cannot say in one line.
func (c *claimHeader) text(claims map[string]any) (string, bool) {
	v, ok := lookup(claims, c.path, c.dotted)
	if !ok {
		return "", false
	}
	if s, ok := scalarText(v); ok {
		return s, true
	}
	if l, ok := v.([]any); ok {
		if s, ok := listText(l); ok {
			return s, true
		}
	}
	if v == nil {
		return "", false
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "", false
	}
	return strings.TrimSuffix(b.String(), "\n"), true
}

// lookup follows a path. If it was split at dots, a claim's own name may have
// dots too: the shortest name that leads somewhere is taken.
func lookup(m map[string]any, path []string, dotted bool) (any, bool) {
	for n := 1; n <= len(path); n++ {
		v, ok := m[strings.Join(path[:n], ".")]
		if ok && n == len(path) {
			return v, true
		}
		if next, isMap := v.(map[string]any); ok && isMap {
			if v, ok := lookup(next, path[n:], dotted); ok {
				return v, true
			}
		}
		if !dotted {
			break
		}
	}
	return nil, false
}

// scalarText gives the text of a string, number (as JSON has it) or boolean.
func scalarText(v any) (string, bool) {
	switch t := v.(type) {
	case string:
		return t, true
	case json.Number:
		return string(t), true
	case bool:
		if t {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// listText joins a list of scalars by commas.
func listText(l []any) (string, bool) {
	parts := make([]string, len(l))
	for i, e := range l {
		s, ok := scalarText(e)
		if !ok {
			return "", false
		}
		parts[i] = s
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
func splitClaims(claims map[string]any, names []string) map[string]any {
	out := maps.Clone(claims)
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
	return out
}
