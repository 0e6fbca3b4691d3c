package apiserver

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
)

// schemaRules are the x-kubernetes-validations of the CRDs that the server comes
// with, by kind and version. The server for custom resources would compile those of
// every kind, for each version anew, as soon as anything is read: a third of the
// memory of `usher up`, and of the time of its start. Here a kind's rules are
// compiled, by the same library, when the first of its objects is written.
type schemaRules map[schema.GroupVersionKind]compileRules

// compileRules compiles once. It is the same for versions whose schemas are.
type compileRules func() (*compiledRules, error)

type compiledRules struct {
	structural *structuralschema.Structural
	validator  *cel.Validator // nil without rules
}

// withoutRules gives the CRDs as the server for custom resources gets them, and the
// rules that it does not get.
func withoutRules(crds []*apiextensionsv1.CustomResourceDefinition) ([]*apiextensionsv1.CustomResourceDefinition, schemaRules) {
	rules := schemaRules{}
	bare := make([]*apiextensionsv1.CustomResourceDefinition, len(crds))
	for i, crd := range crds {
		bare[i] = crd.DeepCopy()
		for j, v := range crd.Spec.Versions {
			if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
				continue // refused when it is stored
			}
			dropRules(bare[i].Spec.Versions[j].Schema.OpenAPIV3Schema)
			gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}
			if j > 0 && reflect.DeepEqual(v.Schema, crd.Spec.Versions[0].Schema) {
				rules[gvk] = rules[gvk.GroupKind().WithVersion(crd.Spec.Versions[0].Name)]
				continue
			}
			rules[gvk] = sync.OnceValues(func() (*compiledRules, error) { return compile(v.Schema.OpenAPIV3Schema) })
		}
	}
	return bare, rules
}

// dropRules takes the rules out of a schema, at every depth.
func dropRules(s *apiextensionsv1.JSONSchemaProps) {
	s.XValidations = nil
	for name, p := range s.Properties {
		dropRules(&p)
		s.Properties[name] = p
	}
	for _, list := range [][]apiextensionsv1.JSONSchemaProps{s.AllOf, s.AnyOf, s.OneOf} {
		for i := range list {
			dropRules(&list[i])
		}
	}
	if s.Not != nil {
		dropRules(s.Not)
	}
	if s.Items != nil && s.Items.Schema != nil {
		dropRules(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		dropRules(s.AdditionalProperties.Schema)
	}
}

func compile(props *apiextensionsv1.JSONSchemaProps) (*compiledRules, error) {
	var in apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &in, nil); err != nil {
		return nil, err
	}
	s, err := structuralschema.NewStructural(&in)
	if err != nil {
		return nil, err
	}
	return &compiledRules{structural: s, validator: cel.NewValidator(s, true, celconfig.PerCallLimit)}, nil
}

// judge refuses an object that breaks a rule with the error that the server for
// custom resources would give. obj has passed its schema; old is what it replaces,
// nil on create: what it broke already in a part that stays is let pass. Kinds of
// other CRDs are not judged, those have their rules.
func (r schemaRules) judge(ctx context.Context, obj, old *unstructured.Unstructured) error {
	gvk := obj.GroupVersionKind()
	compiled := r[gvk]
	if compiled == nil {
		return nil
	}
	c, err := compiled()
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("rules of %s: %w", gvk.Kind, err))
	}
	if c.validator == nil {
		return nil
	}
	var was any
	var options []cel.Option
	if old != nil {
		was = old.Object
		kept := common.NewCorrelatedObject(obj.Object, old.Object, &model.Structural{Structural: c.structural})
		options = append(options, cel.WithRatcheting(kept))
	}
	var errs field.ErrorList
	errs, _ = c.validator.Validate(ctx, nil, c.structural, obj.Object, was, celconfig.RuntimeCELCostBudget, options...)
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(gvk.GroupKind(), obj.GetName(), errs)
}
