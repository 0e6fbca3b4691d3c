// Package strict helps the compilers of Envoy's messages to refuse what they do
// not support: a populated field that nobody reads would be policy that is
// silently not in force. It knows protobuf reflection and no message.
package strict

import (
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// ErrUnsupported is the reason of a field that no compiler reads.
var ErrUnsupported = errors.New("not supported")

// FieldError names a field by its path from the resource, as
// "filter_chains[0].filters[1].typed_config.normalize_path".
type FieldError struct {
	Path string
	Err  error
}

func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

func (e *FieldError) Unwrap() error { return e.Err }

// At puts a path before err's own; nil stays nil.
func At(path string, err error) error {
	if err == nil {
		return nil
	}
	var f *FieldError
	if errors.As(err, &f) && f == err {
		return &FieldError{join(path, f.Path), f.Err}
	}
	return &FieldError{path, err}
}

// AtIndex is At for the i-th element of a list.
func AtIndex(path string, i int, err error) error {
	if err == nil {
		return nil
	}
	return At(path+"["+strconv.Itoa(i)+"]", err)
}

// Errorf makes an error at path.
func Errorf(path, format string, args ...any) error {
	return &FieldError{path, fmt.Errorf(format, args...)}
}

func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	case b[0] == '[':
		return a + b
	}
	return a + "." + b
}

// Only gives an error for the first populated field of m, in the order of its
// numbers, that is not among names. It looks at m alone, not at messages in it.
// Unknown fields (of a newer protocol) are errors too.
func Only(m proto.Message, names ...string) error {
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	if len(r.GetUnknown()) != 0 {
		return &FieldError{"", fmt.Errorf("a field of %s that this version does not know: %w", r.Descriptor().Name(), ErrUnsupported)}
	}
	var bad protoreflect.FieldDescriptor
	r.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		for _, n := range names {
			if string(f.Name()) == n {
				return true
			}
		}
		if bad == nil || f.Number() < bad.Number() {
			bad = f
		}
		return true
	})
	if bad != nil {
		return &FieldError{string(bad.Name()), ErrUnsupported}
	}
	return nil
}

// Unknown is the reason of an extension that nobody takes, or that is not there.
func Unknown(a *anypb.Any) error {
	if a.GetTypeUrl() == "" {
		return errMissing
	}
	return fmt.Errorf("%s: %w", a.GetTypeUrl(), ErrUnsupported)
}

var errMissing = errors.New("missing")

// Unpack decodes a into m, which must be of its type.
func Unpack(a *anypb.Any, m proto.Message) error {
	if a == nil {
		return errMissing
	}
	want := m.ProtoReflect().Descriptor().FullName()
	if a.MessageName() != want {
		return fmt.Errorf("%s: %w (want %s)", a.GetTypeUrl(), ErrUnsupported, want)
	}
	return a.UnmarshalTo(m)
}
