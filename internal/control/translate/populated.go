package translate

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// populated gives the paths of all fields that are set in a message, in the
// names of the object's YAML, and calls each with its path without indices
// ("http.match.uri") and with them ("http[0].match[1].uri"). It goes down until
// visit says that the field is dealt with.
func populated(m proto.Message, visit func(field, path string) (done bool)) {
	walk(m.ProtoReflect(), "", "", visit)
}

func walk(m protoreflect.Message, field, path string, visit func(field, path string) bool) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		f, p := join(field, fd.JSONName()), join(path, fd.JSONName())
		if visit(f, p) || fd.Message() == nil || fd.IsMap() {
			return true
		}
		if !fd.IsList() {
			walk(v.Message(), f, p, visit)
			return true
		}
		for i := 0; i < v.List().Len(); i++ {
			walk(v.List().Get(i).Message(), f, fmt.Sprintf("%s[%d]", p, i), visit)
		}
		return true
	})
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}

// ignored gives the paths of the fields that are set, are not in used, and have
// no part there: those that have no effect. Sorted.
func ignored(m proto.Message, used map[string]bool) []string {
	var out []string
	populated(m, func(field, path string) bool {
		if used[field] {
			return true
		}
		for u := range used {
			if strings.HasPrefix(u, field+".") {
				return false
			}
		}
		out = append(out, path)
		return true
	})
	sort.Strings(out)
	return out
}

func set(s ...string) map[string]bool {
	m := make(map[string]bool, len(s))
	for _, e := range s {
		m[e] = true
	}
	return m
}
