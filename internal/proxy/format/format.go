package format

import (
	"encoding/json"
	"sort"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Format is a compiled format.
type Format struct {
	parts []part
	value *value // of JSON; nil: text
	empty string // stands for what is missing
}

// Text compiles a format string. Omit has what is missing as "", not "-".
func Text(format string, omit bool) (*Format, error) {
	parts, err := parse(format)
	if err != nil {
		return nil, err
	}
	return &Format{parts: parts, empty: hyphen(omit)}, nil
}

func hyphen(omit bool) string {
	if omit {
		return ""
	}
	return "-"
}

// JSON compiles a format of an object. Omit leaves out members that are null.
func JSON(m *structpb.Struct, omit bool) (*Format, error) {
	v, err := compileStruct(m, omit)
	if err != nil {
		return nil, err
	}
	return &Format{value: v, empty: hyphen(omit)}, nil
}

// Literal gives the text of a format without operators.
func (f *Format) Literal() (string, bool) {
	switch {
	case f.value != nil || len(f.parts) > 1 || len(f.parts) == 1 && f.parts[0].op != nil:
		return "", false
	case len(f.parts) == 0:
		return "", true
	}
	return f.parts[0].literal, true
}

// Append appends what the format makes: a text, or JSON with a line feed.
func (f *Format) Append(b []byte, s *Subject) []byte { return f.append(b, s, false) }

// AppendLine is Append with the control characters and quotes of a text's values
// escaped.
func (f *Format) AppendLine(b []byte, s *Subject) []byte { return f.append(b, s, true) }

func (f *Format) append(b []byte, s *Subject, line bool) []byte {
	if f.value != nil {
		b, _ = f.value.append(b, s, f.empty)
		return append(b, '\n')
	}
	for i := range f.parts {
		p := &f.parts[i]
		from := len(b)
		b = p.append(b, s, f.empty)
		if line && p.op != nil {
			b = escape(b, from)
		}
	}
	return b
}

// value is a value of JSON.
type value struct {
	fixed   string // as it is, or
	parts   []part // or
	members []member
	list    []*value
	kind    byte // f, p, { or [
	omit    bool
}

type member struct {
	name string // with quotes and colon
	*value
}

func compileStruct(m *structpb.Struct, omit bool) (*value, error) {
	out := &value{kind: '{', omit: omit}
	for k, v := range m.GetFields() {
		c, err := compileValue(v, omit)
		if err != nil {
			return nil, strict.At("fields["+k+"]", err)
		}
		name, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		out.members = append(out.members, member{string(name) + ":", c})
	}
	sort.Slice(out.members, func(i, j int) bool { return out.members[i].name < out.members[j].name })
	return out, nil
}

func compileValue(v *structpb.Value, omit bool) (*value, error) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		parts, err := parse(k.StringValue)
		return &value{kind: 'p', parts: parts}, err
	case *structpb.Value_NumberValue:
		n, err := json.Marshal(k.NumberValue)
		return &value{kind: 'f', fixed: string(n)}, err
	case *structpb.Value_BoolValue:
		return &value{kind: 'f', fixed: strconv.FormatBool(k.BoolValue)}, nil
	case *structpb.Value_StructValue:
		return compileStruct(k.StructValue, omit)
	case *structpb.Value_ListValue:
		out := &value{kind: '[', omit: omit}
		for i, e := range k.ListValue.GetValues() {
			c, err := compileValue(e, omit)
			if err != nil {
				return nil, strict.AtIndex("values", i, err)
			}
			out.list = append(out.list, c)
		}
		return out, nil
	}
	return nil, strict.Errorf("", "null: %w", strict.ErrUnsupported)
}

// append appends the value; it tells whether there is one: what is left out of an
// object or a list may leave none.
func (v *value) append(b []byte, s *Subject, empty string) ([]byte, bool) {
	switch v.kind {
	case 'f':
		return append(b, v.fixed...), true
	case 'p':
		from := len(b)
		b = appendValue(b, s, v.parts, empty)
		return b, string(b[from:]) != "null"
	case '{':
		b = append(b, '{')
		first := len(b)
		for i := range v.members {
			from := len(b)
			if from > first {
				b = append(b, ',')
			}
			b = append(b, v.members[i].name...)
			var ok bool
			if b, ok = v.members[i].append(b, s, empty); !ok && v.omit {
				b = b[:from]
			}
		}
		return append(b, '}'), !v.omit || len(b) > first
	}
	b = append(b, '[')
	first := len(b)
	for _, e := range v.list {
		from := len(b)
		if from > first {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = e.append(b, s, empty); !ok && v.omit {
			b = b[:from]
		}
	}
	return append(b, ']'), true
}
