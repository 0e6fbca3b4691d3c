package strict

import (
	"errors"
	"math"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Validate holds m and all messages in it, those in Any included, against the constraints
// that Envoy's API states for them (protoc-gen-validate): what is required, bounds, lengths.
// Nor is any duration negative, or longer than Envoy takes. It comes after the compilers: what they take has no depth that would be dear to unpack.
func Validate(m proto.Message) error {
	if v, ok := m.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return violation(err)
		}
	}
	return within(m.ProtoReflect())
}

// The longest that Envoy takes.
const (
	maxSeconds = math.MaxInt64/1_000_000_000 - 1
	maxNanos   = 999_999_999
)

// within validates what the Any messages in m hold.
func within(m protoreflect.Message) (err error) {
	switch m := m.Interface().(type) {
	case *anypb.Any:
		held, err := m.UnmarshalNew()
		if err != nil {
			return nil
		}
		return Validate(held)
	case *durationpb.Duration:
		switch {
		case m.GetSeconds() < 0 || m.GetNanos() < 0:
			return errors.New("must not be negative")
		case m.GetSeconds() > maxSeconds || m.GetNanos() > maxNanos:
			return errors.New("out of range")
		}
		return nil
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				err = At(name+"["+k.String()+"]", within(v.Message()))
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = AtIndex(name, i, within(v.List().Get(i).Message()))
			}
		case f.Message() != nil && !f.IsMap() && !f.IsList():
			err = At(name, within(v.Message()))
		}
		return err == nil
	})
	return err
}

// violation gives an error of protoc-gen-validate its path.
func violation(err error) error {
	var v interface {
		Field() string
		Reason() string
		Cause() error
	}
	if !errors.As(err, &v) {
		return err
	}
	if v.Cause() != nil {
		return At(snake(v.Field()), violation(v.Cause()))
	}
	return &FieldError{snake(v.Field()), errors.New(v.Reason())}
}

// snake writes the name of a field of Go as its message has it.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
