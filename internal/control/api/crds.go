// Package api holds the custom resources that the mesh is configured with: their
// definitions (CRDs), their Go types (Scheme), and what admission refuses that a
// schema cannot express (Validate). It knows objects one at a time: what they mean
// together is package translate's.
package api

import (
	"embed"
	"encoding/json"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:generate go run ./crdgen -out schemas

//go:embed schemas/*.json
var schemas embed.FS

// CRDs are the definitions of every kind that Kinds lists, new at each call. They
// have the names, versions and printer columns of Istio's own; schemas are
// generated (see crdgen).
func CRDs() []*apiextensionsv1.CustomResourceDefinition {
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, k := range kinds {
		out = append(out, k.definition())
	}
	return out
}

func (k kind) definition() *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{
			Name:   k.plural + "." + k.group,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "usher"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: k.group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind:       k.name,
				ListKind:   k.name + "List",
				Plural:     k.plural,
				Singular:   k.singular(),
				ShortNames: k.short,
				Categories: k.categories(),
			},
		},
	}
	if k.cluster {
		crd.Spec.Scope = apiextensionsv1.ClusterScoped
	}
	for i, v := range k.versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name:                     v,
			Served:                   true,
			Storage:                  i == 0,
			Schema:                   &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: k.schema()},
			Subresources:             &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			AdditionalPrinterColumns: k.columns,
		})
	}
	return crd
}

// schema decodes the generated schema, which is part of the program: one that does
// not decode is a fault of the build, found by the first test.
func (k kind) schema() *apiextensionsv1.JSONSchemaProps {
	text, err := schemas.ReadFile("schemas/" + k.name + ".json")
	if err != nil {
		panic(fmt.Sprintf("api: %v (run go generate)", err))
	}
	var s apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(text, &s); err != nil {
		panic(fmt.Sprintf("api: schemas/%s.json: %v", k.name, err))
	}
	return &s
}
