package api

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// TestDefinitionsAreValid gives every definition to the API server's own check,
// which also bounds what the rules may cost.
func TestDefinitionsAreValid(t *testing.T) {
	for _, crd := range CRDs() {
		crd := crd.DeepCopy()
		apiextensionsv1.SetDefaults_CustomResourceDefinition(crd)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
		var in apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, &in, nil); err != nil {
			t.Fatal(err)
		}
		in.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
		for _, err := range validation.ValidateCustomResourceDefinition(context.Background(), &in) {
			t.Errorf("%s: %v", crd.Name, err)
		}
	}
}

func TestLegacyNames(t *testing.T) {
	found := 0
	for _, crd := range CRDs() {
		n := crd.Spec.Names
		switch n.Kind {
		case "Policy":
			found++
			if n.Plural != "policies" || n.Singular != "policy" || crd.Spec.Scope != apiextensionsv1.NamespaceScoped {
				t.Errorf("Policy: %+v %s", n, crd.Spec.Scope)
			}
		case "MeshPolicy":
			found++
			if n.Plural != "meshpolicies" || n.Singular != "meshpolicy" || crd.Spec.Scope != apiextensionsv1.ClusterScoped {
				t.Errorf("MeshPolicy: %+v %s", n, crd.Spec.Scope)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of Policy and MeshPolicy", found)
	}
}

// TestSchemeHasEveryKind also finds a kind whose Go type is missing.
func TestSchemeHasEveryKind(t *testing.T) {
	s := Scheme()
	for _, crd := range CRDs() {
		for _, v := range crd.Spec.Versions {
			gv := schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name}
			for _, kind := range []string{crd.Spec.Names.Kind, crd.Spec.Names.ListKind} {
				if !s.Recognizes(gv.WithKind(kind)) {
					t.Errorf("%s is not in the scheme", gv.WithKind(kind))
				}
			}
		}
	}
}

// accepted gives the object to the schema of its kind, then to Validate.
func accepted(t *testing.T, obj *unstructured.Unstructured) []string {
	t.Helper()
	gvk := obj.GroupVersionKind()
	for _, crd := range CRDs() {
		for _, v := range crd.Spec.Versions {
			if crd.Spec.Group != gvk.Group || crd.Spec.Names.Kind != gvk.Kind || v.Name != gvk.Version {
				continue
			}
			if refused := newValidator(t, v.Schema.OpenAPIV3Schema).judge(obj.Object); len(refused) > 0 {
				return refused
			}
			var out []string
			for _, err := range Validate(context.Background(), obj, nil) {
				out = append(out, err.Error())
			}
			return out
		}
	}
	return []string{gvk.String() + ": no such kind"}
}

// TestShippedObjects: what istiofiles holds is accepted.
func TestShippedObjects(t *testing.T) {
	files, err := filepath.Glob("../../../istiofiles/*.yml")
	if err != nil || len(files) < 4 {
		t.Fatalf("istiofiles: %q, %v", files, err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		d := yaml.NewYAMLOrJSONDecoder(f, 4096)
		for {
			var obj unstructured.Unstructured
			if err := d.Decode(&obj); err != nil {
				break
			}
			if refused := accepted(t, &obj); len(refused) > 0 {
				t.Errorf("%s: %s %s is refused: %q", filepath.Base(file), obj.GetKind(), obj.GetName(), refused)
			}
		}
	}
}
