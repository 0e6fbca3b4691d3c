package bootstrap

import (
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// spelled rewrites what Envoy's parser takes and protojson does not: one element where a
// list is wanted, and a duration or a time as the fields of its message. What cannot be
// understood stays as it is, for protojson to refuse.
func spelled(v any, d protoreflect.MessageDescriptor) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	switch d.FullName() {
	case "google.protobuf.Duration":
		if s, ok := seconds(m); ok {
			return s
		}
		return v
	case "google.protobuf.Any":
		rest, inner, err := inAny(m, "")
		if err != nil || rest == nil {
			return v
		}
		out, ok := spelled(rest, inner).(map[string]any)
		if !ok {
			return v
		}
		out["@type"] = m["@type"]
		return out
	}
	if wellKnown(d) {
		return v
	}
	for k, e := range m {
		fd := field(d, k)
		if fd == nil || e == nil {
			continue
		}
		if _, list := e.([]any); fd.IsList() && !list {
			e = []any{e}
		}
		if msg := element(fd).Message(); msg != nil {
			e = elements(e, fd, msg)
		}
		m[k] = e
	}
	return m
}

// elements rewrites the messages of a field.
func elements(v any, fd protoreflect.FieldDescriptor, d protoreflect.MessageDescriptor) any {
	switch v := v.(type) {
	case []any:
		if fd.IsList() {
			for i := range v {
				v[i] = spelled(v[i], d)
			}
			return v
		}
	case map[string]any:
		if fd.IsMap() {
			for k := range v {
				v[k] = spelled(v[k], d)
			}
			return v
		}
	}
	return spelled(v, d)
}

// seconds gives the JSON of a duration from its fields.
func seconds(m map[string]any) (string, bool) {
	var s, n int64
	for k, v := range m {
		to := map[string]*int64{"seconds": &s, "nanos": &n}[k]
		if to == nil {
			return "", false
		}
		var err error
		if *to, err = strconv.ParseInt(integer(v), 10, 64); err != nil {
			return "", false
		}
	}
	if n < 0 || n > 999_999_999 || s < 0 {
		return "", false
	}
	return fmt.Sprintf("%d.%09ds", s, n), true
}

// integer gives a number of YAML or JSON as text, "" if it is none.
func integer(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int, int64, uint64:
		return fmt.Sprint(v)
	case float64:
		b, _ := json.Marshal(v)
		return string(b)
	}
	return ""
}
