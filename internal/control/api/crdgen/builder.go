package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// builder turns message descriptors into structural schemas.
type builder struct {
	notes    notes
	describe map[string]string // full name of message or field -> text
	unused   map[string]bool   // descriptions that no schema has taken
}

// kind is the schema of a whole object: spec and status.
func (b *builder) kind(k istioKind) (*apiextensionsv1.JSONSchemaProps, error) {
	spec, err := b.named(k.spec)
	if err != nil {
		return nil, err
	}
	status, err := b.named(k.status)
	if err != nil {
		return nil, err
	}
	s := object(b.text(k.spec), spec, status)
	if slices.Contains(b.notes[k.spec], "+cue-gen:"+k.kind+":spec:required") {
		s.Required = []string{"spec"}
	}
	return s, nil
}

// object joins a spec and a status, which keeps fields that it does not know, as
// Istio's does.
func object(text string, spec, status *apiextensionsv1.JSONSchemaProps) *apiextensionsv1.JSONSchemaProps {
	keep := true
	st := *status
	st.XPreserveUnknownFields = &keep
	return &apiextensionsv1.JSONSchemaProps{
		Type:        "object",
		Description: text,
		Properties:  map[string]apiextensionsv1.JSONSchemaProps{"spec": *spec, "status": st},
	}
}

func (b *builder) text(name string) string {
	delete(b.unused, name)
	return b.describe[name]
}

func (b *builder) named(name string) (*apiextensionsv1.JSONSchemaProps, error) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b.message(d.(protoreflect.MessageDescriptor))
}

func (b *builder) message(md protoreflect.MessageDescriptor) (*apiextensionsv1.JSONSchemaProps, error) {
	if s := wellKnown(md.FullName()); s != nil {
		return s, nil
	}
	name := string(md.FullName())
	s := &apiextensionsv1.JSONSchemaProps{Type: "object", Description: b.text(name), Properties: map[string]apiextensionsv1.JSONSchemaProps{}}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		f, err := b.field(fd)
		if err != nil {
			return nil, err
		}
		s.Properties[fd.JSONName()] = *f
		for _, note := range b.notes[string(fd.FullName())] {
			if alt, ok := strings.CutPrefix(note, "+kubebuilder:altName="); ok {
				s.Properties[alt] = *f
			}
		}
		if required(fd) {
			s.Required = append(s.Required, fd.JSONName())
		}
	}
	if err := oneofs(s, md); err != nil {
		return nil, err
	}
	for _, note := range b.notes[name] {
		if v, ok := strings.CutPrefix(note, onSelf); ok {
			if err := apply(s, v); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return s, nil
}

// oneofs allows at most one field of each of a message's oneofs.
func oneofs(s *apiextensionsv1.JSONSchemaProps, md protoreflect.MessageDescriptor) error {
	var all [][]apiextensionsv1.JSONSchemaProps
	for i := range md.Oneofs().Len() {
		o := md.Oneofs().Get(i)
		if o.IsSynthetic() {
			continue
		}
		var fields []string
		for j := range o.Fields().Len() {
			fields = append(fields, o.Fields().Get(j).JSONName())
		}
		all = append(all, exclusive(fields))
	}
	switch len(all) {
	case 0:
	case 1:
		s.OneOf = all[0]
	default:
		for _, one := range all {
			s.AllOf = append(s.AllOf, apiextensionsv1.JSONSchemaProps{OneOf: one})
		}
	}
	return nil
}

func required(fd protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_REQUIRED)
}
