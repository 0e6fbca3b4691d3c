package api

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// validator judges objects as the API server does for one version of a definition.
type validator struct {
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	cel        *cel.Validator
}

func newValidator(t testing.TB, schema *apiextensionsv1.JSONSchemaProps) *validator {
	t.Helper()
	var in apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(schema, &in, nil); err != nil {
		t.Fatal(err)
	}
	v := &validator{}
	var err error
	if v.structural, err = structuralschema.NewStructural(&in); err != nil {
		t.Fatal(err)
	}
	if v.schema, _, err = validation.NewSchemaValidator(&in); err != nil {
		t.Fatal(err)
	}
	v.cel = cel.NewValidator(v.structural, true, celconfig.PerCallLimit)
	return v
}

// judge gives the fields that the object is refused for, sorted, with strict field
// validation; none if it is accepted.
func (v *validator) judge(obj map[string]any) []string {
	var out []string
	strict := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(runtime.DeepCopyJSON(obj), v.structural, true, strict) {
		out = append(out, path+": unknown")
	}
	errs := validation.ValidateCustomResource(nil, obj, v.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, obj)...)
	rules, _ := v.cel.Validate(context.Background(), nil, v.structural, obj, nil, celconfig.RuntimeCELCostBudget)
	for _, e := range append(errs, rules...) {
		out = append(out, fmt.Sprintf("%s: %s", e.Field, e.Type))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
