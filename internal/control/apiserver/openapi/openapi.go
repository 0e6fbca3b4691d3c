// Package openapi holds the OpenAPI definitions of the built-in kinds, which
// Kubernetes publishes in no module, and merges them with those of CRDs. It knows
// types, not how they are served.
package openapi

import (
	"maps"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/kube-openapi/pkg/common"
)

//go:generate go run ./gen -out zz_generated.go

// Definitions are those of every type that the API server serves or that such a
// type contains, CustomResourceDefinition included.
func Definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := apiextensions.GetOpenAPIDefinitions(ref)
	maps.Copy(all, builtin(ref))
	return all
}
