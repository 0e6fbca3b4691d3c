package xdsgen_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// every calls f with a message and all messages that stand in its Any fields.
func every(t testing.TB, m proto.Message, f func(proto.Message)) {
	t.Helper()
	f(m)
	inside(t, m.ProtoReflect(), f)
}

func inside(t testing.TB, m protoreflect.Message, f func(proto.Message)) {
	if a, ok := m.Interface().(*anypb.Any); ok {
		n, err := a.UnmarshalNew()
		if err != nil {
			t.Errorf("%s: %v", a.TypeUrl, err)
			return
		}
		every(t, n, f)
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					inside(t, v.Message(), f)
					return true
				})
			}
		case fd.Message() == nil:
		case fd.IsList():
			for i := 0; i < v.List().Len(); i++ {
				inside(t, v.List().Get(i).Message(), f)
			}
		default:
			inside(t, v.Message(), f)
		}
		return true
	})
}
