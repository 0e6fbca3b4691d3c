package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxDepth bounds the nesting of a file; protobuf's own bound is 10,000.
const maxDepth = 200

var errDeep = errors.New("nested too deeply")

// plain makes a YAML value JSON's: the keys of its maps are text.
func plain(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	var err error
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			switch k.(type) {
			case string, int, int64, uint64, bool:
			default:
				return nil, fmt.Errorf("a key that is not text: %v", k)
			}
			if m[fmt.Sprint(k)], err = plain(e, depth+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	case map[string]any:
		for k, e := range v {
			if v[k], err = plain(e, depth+1); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range v {
			if v[i], err = plain(e, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// fields refuses names that the message does not have. What is not an object
// where a message is wanted is protojson's matter.
func fields(v any, d protoreflect.MessageDescriptor, path string) error {
	m, ok := v.(map[string]any)
	if !ok || wellKnown(d) {
		return nil
	}
	if d.FullName() == "google.protobuf.Any" {
		var err error
		if m, d, err = inAny(m, path); err != nil || m == nil {
			return err
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fd, at := field(d, k), join(path, k)
		if fd == nil {
			return fmt.Errorf("%s: unknown field (of %s)", at, d.FullName())
		}
		err := each(m[k], fd, at, func(e any, at string) error {
			if fd := element(fd); fd.Message() != nil {
				return fields(e, fd.Message(), at)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inAny gives the fields of an Any less "@type", and their message. A nil map says
// that there is nothing to look at.
func inAny(m map[string]any, path string) (map[string]any, protoreflect.MessageDescriptor, error) {
	url, _ := m["@type"].(string)
	if url == "" {
		return nil, nil, fmt.Errorf("%s: has no @type", path)
	}
	mt, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.@type: %q is not a type that usher-proxy knows", path, url)
	}
	d := mt.Descriptor()
	if wellKnown(d) {
		return nil, nil, nil
	}
	rest := maps.Clone(m)
	delete(rest, "@type")
	return rest, d, nil
}

// locate finds the field that a failed decoding was about, by decoding each
// scalar alone.
func locate(tree any, b proto.Message, whole error) error {
	if err := scalars(tree, b.ProtoReflect().Descriptor(), ""); err != nil {
		return err
	}
	return whole
}

func scalars(v any, d protoreflect.MessageDescriptor, path string) error {
	if v == nil {
		return nil
	}
	if d.FullName() == "google.protobuf.Any" {
		if m, ok := v.(map[string]any); ok {
			rest, inner, err := inAny(m, path)
			if err != nil || rest == nil {
				return err
			}
			v, d = rest, inner
		}
	}
	m, ok := v.(map[string]any)
	if !ok || wellKnown(d) {
		js, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return reason(path, protojson.Unmarshal(js, dynamicpb.NewMessage(d)))
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fd := field(d, k)
		if fd == nil {
			continue
		}
		err := each(m[k], fd, join(path, k), func(e any, at string) error {
			el := element(fd)
			if el.Message() != nil {
				return scalars(e, el.Message(), at)
			}
			one := e
			switch {
			case fd.IsList():
				one = []any{e}
			case fd.IsMap():
				return nil
			}
			js, err := json.Marshal(map[string]any{k: one})
			if err != nil {
				return err
			}
			err = protojson.Unmarshal(js, dynamicpb.NewMessage(d))
			if err != nil && el.Kind() == protoreflect.BytesKind {
				return fmt.Errorf("%s: not base64", at) // protojson shows what is there, such as a key
			}
			return reason(at, err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reason is a protojson error without its position, which is in no file.
func reason(path string, err error) error {
	if err == nil {
		return nil
	}
	s := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
	if strings.HasPrefix(s, "(line") || strings.HasPrefix(s, "syntax error (line") {
		if _, rest, ok := strings.Cut(s, "): "); ok {
			s = rest
		}
	}
	if _, _, ok := strings.Cut(s, "unexpected token"); ok {
		s = "not what is wanted here" // the token may be a key
	}
	return fmt.Errorf("%s: %s", path, s)
}

// each calls f for every element of a field: those of a list or a map, or itself.
func each(v any, fd protoreflect.FieldDescriptor, path string, f func(any, string) error) error {
	switch v := v.(type) {
	case []any:
		if !fd.IsList() {
			break
		}
		for i, e := range v {
			if err := f(e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if !fd.IsMap() {
			break
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if err := f(v[k], fmt.Sprintf("%s[%q]", path, k)); err != nil {
				return err
			}
		}
		return nil
	}
	return f(v, path)
}

// element is the field that describes one element: the value's for a map.
func element(fd protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	if fd.IsMap() {
		return fd.MapValue()
	}
	return fd
}

func field(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := d.Fields().ByName(protoreflect.Name(name)); fd != nil {
		return fd
	}
	return d.Fields().ByJSONName(name)
}

// wellKnown tells the messages whose JSON is not an object of their fields.
func wellKnown(d protoreflect.MessageDescriptor) bool {
	return d.FullName().Parent() == "google.protobuf" && d.FullName() != "google.protobuf.Any"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
