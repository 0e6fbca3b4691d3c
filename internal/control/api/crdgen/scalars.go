package main

import (
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func scalar(k protoreflect.Kind) *apiextensionsv1.JSONSchemaProps {
	switch k {
	case protoreflect.BoolKind:
		return &apiextensionsv1.JSONSchemaProps{Type: "boolean"}
	case protoreflect.StringKind:
		return &apiextensionsv1.JSONSchemaProps{Type: "string"}
	case protoreflect.BytesKind:
		return &apiextensionsv1.JSONSchemaProps{Type: "string", Format: "byte"}
	case protoreflect.DoubleKind:
		return &apiextensionsv1.JSONSchemaProps{Type: "number", Format: "double"}
	case protoreflect.FloatKind:
		return &apiextensionsv1.JSONSchemaProps{Type: "number", Format: "float"}
	case protoreflect.Int32Kind:
		return &apiextensionsv1.JSONSchemaProps{Type: "integer", Format: "int32"}
	case protoreflect.Int64Kind:
		return &apiextensionsv1.JSONSchemaProps{Type: "integer", Format: "int64"}
	case protoreflect.Uint32Kind:
		return &apiextensionsv1.JSONSchemaProps{Type: "integer", Minimum: new(0.0), Maximum: new(float64(math.MaxUint32))}
	case protoreflect.Uint64Kind:
		return &apiextensionsv1.JSONSchemaProps{Type: "integer", Minimum: new(0.0)}
	}
	return nil
}

// wellKnown is the schema of a message that JSON writes in a form of its own, nil
// for any other.
func wellKnown(name protoreflect.FullName) *apiextensionsv1.JSONSchemaProps {
	nullable := func(k protoreflect.Kind) *apiextensionsv1.JSONSchemaProps {
		s := scalar(k)
		s.Nullable = true
		return s
	}
	switch name {
	case "google.protobuf.Duration":
		return &apiextensionsv1.JSONSchemaProps{Type: "string", XValidations: apiextensionsv1.ValidationRules{durationRule()}}
	case "google.protobuf.Timestamp":
		return &apiextensionsv1.JSONSchemaProps{Type: "string", Format: "date-time"}
	case "google.protobuf.Struct":
		return &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}
	case "google.protobuf.Value":
		return &apiextensionsv1.JSONSchemaProps{XPreserveUnknownFields: new(true)}
	case "google.protobuf.BoolValue":
		return nullable(protoreflect.BoolKind)
	case "google.protobuf.StringValue":
		return nullable(protoreflect.StringKind)
	case "google.protobuf.DoubleValue":
		return nullable(protoreflect.DoubleKind)
	case "google.protobuf.FloatValue":
		return nullable(protoreflect.FloatKind)
	case "google.protobuf.Int32Value":
		return nullable(protoreflect.Int32Kind)
	case "google.protobuf.Int64Value":
		return nullable(protoreflect.Int64Kind)
	case "google.protobuf.UInt32Value":
		return nullable(protoreflect.Uint32Kind)
	case "google.protobuf.UInt64Value":
		return nullable(protoreflect.Uint64Kind)
	}
	return nil
}
