package api

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/usher-mesh/usher/internal/control/api/admission"
)

// Validate refuses what a schema cannot: obj is a custom resource that has passed
// its schema, old the one that it replaces, nil on create. An object that is being
// deleted and one whose spec stays as it is are not judged. Errors name the field
// and its value, but never a secret. Kinds that the mesh does not know pass.
func Validate(_ context.Context, obj, old *unstructured.Unstructured) field.ErrorList {
	return admission.Validate(obj, old)
}
