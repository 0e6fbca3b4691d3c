package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// field is the schema of one field with its annotations.
func (b *builder) field(fd protoreflect.FieldDescriptor) (*apiextensionsv1.JSONSchemaProps, error) {
	name := string(fd.FullName())
	element := fd
	if fd.IsMap() {
		element = fd.MapValue()
	}
	e, err := b.element(element)
	if err != nil {
		return nil, err
	}
	s := e
	switch {
	case fd.IsMap():
		s = &apiextensionsv1.JSONSchemaProps{Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true, Schema: e}}
	case fd.IsList():
		s = &apiextensionsv1.JSONSchemaProps{Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: e}}
	}
	if text := b.text(name); text != "" {
		s.Description = text
	}
	if err := annotate(s, e, b.notes[name]); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// annotate applies a field's annotations: to itself, or to the element e of the
// list or map that it is.
func annotate(s, e *apiextensionsv1.JSONSchemaProps, lines []string) error {
	for _, note := range lines {
		var err error
		switch {
		case strings.HasPrefix(note, onSelf):
			err = apply(s, note[len(onSelf):])
		case strings.HasPrefix(note, onItem):
			err = apply(e, note[len(onItem):])
		case strings.HasPrefix(note, onValue):
			err = apply(e, note[len(onValue):])
		case note == "+protoc-gen-crd:duration-validation:none":
			s.XValidations = nil
		case note == "+protoc-gen-crd:validation:XIntOrString":
			*s = apiextensionsv1.JSONSchemaProps{
				Description:  s.Description,
				XIntOrString: true,
				AnyOf:        []apiextensionsv1.JSONSchemaProps{{Type: "integer"}, {Type: "string"}},
			}
		case strings.HasPrefix(note, "+protoc-gen-crd:validation:IgnoreSubValidation:"):
			err = ignore(s, note[len("+protoc-gen-crd:validation:IgnoreSubValidation:"):])
		case note == "+listType=map":
			s.XListType = new("map")
		case strings.HasPrefix(note, "+listMapKey="):
			s.XListMapKeys = append(s.XListMapKeys, strings.TrimPrefix(note, "+listMapKey="))
		case strings.HasPrefix(note, "+protoc-gen-crd:"):
			err = fmt.Errorf("annotation %q is not known", note)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ignore drops the rules of s whose messages are in list, a JSON array.
func ignore(s *apiextensionsv1.JSONSchemaProps, list string) error {
	var messages []string
	if err := json.Unmarshal([]byte(list), &messages); err != nil {
		return err
	}
	s.XValidations = slices.DeleteFunc(s.XValidations, func(r apiextensionsv1.ValidationRule) bool {
		return slices.Contains(messages, r.Message)
	})
	return nil
}

// element is the schema of a single value of a field, whatever its cardinality.
func (b *builder) element(fd protoreflect.FieldDescriptor) (*apiextensionsv1.JSONSchemaProps, error) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return b.message(fd.Message())
	case protoreflect.EnumKind:
		var values []string
		for i := range fd.Enum().Values().Len() {
			values = append(values, string(fd.Enum().Values().Get(i).Name()))
		}
		return &apiextensionsv1.JSONSchemaProps{Type: "string", Enum: enum(values...)}, nil
	}
	if s := scalar(fd.Kind()); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%s: kind %s has no schema", fd.FullName(), fd.Kind())
}
