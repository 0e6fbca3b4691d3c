package config

import (
	"slices"

	"github.com/cncf/xds/go/udpa/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Redacted stands for what is not shown.
const Redacted = "[redacted]"

// Redact hides keys and key sets in m, which it changes.
func Redact(m proto.Message) error { return redact(m.ProtoReflect()) }

// show gives a resource without its secrets.
func show(a *anypb.Any) *anypb.Any {
	if a == nil {
		return nil
	}
	a = proto.CloneOf(a)
	if err := redact(a.ProtoReflect()); err != nil {
		return nil // rather nothing than a secret
	}
	return a
}

// secretFields are hidden beside those that Envoy marks as sensitive.
var secretFields = []string{"private_key", "password", "local_jwks", "session_ticket_keys", "credential", "pkcs12"}

func isSecret(f protoreflect.FieldDescriptor) bool {
	marked, _ := proto.GetExtension(f.Options(), annotations.E_Sensitive).(bool)
	return marked || slices.Contains(secretFields, string(f.Name()))
}

// redact walks into lists, maps and Anys and hides what is secret.
func redact(m protoreflect.Message) error {
	if a, ok := m.Interface().(*anypb.Any); ok {
		in, err := a.UnmarshalNew()
		if err != nil {
			return err
		}
		if err := redact(in.ProtoReflect()); err != nil {
			return err
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
		a.Value = b
		return err
	}
	var failed error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if isSecret(f) {
			blank(m, f, v)
			return true
		}
		one := func(v protoreflect.Value) {
			if failed == nil {
				failed = redact(v.Message())
			}
		}
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { one(v); return true })
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				one(v.List().Get(i))
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			one(v)
		}
		return failed == nil
	})
	return failed
}

// blank replaces every text and byte string in a field of m and below, as Envoy does:
// what has another type is not set any more.
func blank(m protoreflect.Message, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	within := func(m protoreflect.Message) {
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool { blank(m, f, v); return true })
	}
	switch {
	case f.IsMap():
		m.Clear(f)
	case f.IsList() && f.Message() != nil:
		for i := range v.List().Len() {
			within(v.List().Get(i).Message())
		}
	case f.IsList():
		m.Clear(f)
	case f.Message() != nil:
		if _, any := v.Message().Interface().(*anypb.Any); any {
			m.Clear(f)
			return
		}
		within(v.Message())
	case f.Kind() == protoreflect.StringKind:
		m.Set(f, protoreflect.ValueOfString(Redacted))
	case f.Kind() == protoreflect.BytesKind:
		m.Set(f, protoreflect.ValueOfBytes([]byte(Redacted)))
	default:
		m.Clear(f)
	}
}
