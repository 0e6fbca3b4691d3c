package apiserver

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// ruled is the widget's CRD with a rule at every place that a schema can have one.
func ruled() *apiextensionsv1.CustomResourceDefinition {
	crd := widgets()
	for i := range crd.Spec.Versions {
		root := crd.Spec.Versions[i].Schema.OpenAPIV3Schema.DeepCopy()
		rule := func(text string) apiextensionsv1.ValidationRules {
			return apiextensionsv1.ValidationRules{{Rule: text, Message: "breaks " + text}}
		}
		short := apiextensionsv1.JSONSchemaProps{Type: "string", XValidations: rule("size(self) < 3")}
		spec := root.Properties["spec"]
		spec.XValidations = rule("!has(self.color) || self.color != 'green'")
		spec.Properties["list"] = apiextensionsv1.JSONSchemaProps{
			Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &short},
		}
		spec.Properties["map"] = apiextensionsv1.JSONSchemaProps{
			Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true, Schema: &short},
		}
		root.Properties["spec"] = spec
		crd.Spec.Versions[i].Schema = &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: root}
	}
	return crd
}

func TestSchemaRules(t *testing.T) {
	o := testOptions(t, home(t))
	o.CRDs[0] = ruled()
	s := startServer(t, o)
	client, err := dynamic.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	widget := func(version, name string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "networking.istio.io/" + version, "kind": "Widget", "metadata": map[string]any{"name": name}, "spec": spec,
		}}
	}
	for _, version := range []string{"v1", "v1alpha3"} {
		t.Run(version, func(t *testing.T) {
			r := client.Resource(schema.GroupVersionResource{Group: "networking.istio.io", Version: version, Resource: "widgets"}).Namespace("default")
			for what, c := range map[string]struct {
				spec  map[string]any
				field string // that is refused
			}{
				"good":           {map[string]any{"color": "blue", "list": []any{"ab"}, "map": map[string]any{"k": "ab"}}, ""},
				"of-the-object":  {map[string]any{"color": "green"}, "spec"},
				"of-an-item":     {map[string]any{"list": []any{"ab", "abc"}}, "spec.list[1]"},
				"of-a-map-value": {map[string]any{"map": map[string]any{"k": "abc"}}, "spec.map[k]"},
			} {
				_, err := r.Create(t.Context(), widget(version, version+what, c.spec), metav1.CreateOptions{})
				if c.field == "" {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					continue
				}
				if !apierrors.IsInvalid(err) {
					t.Errorf("%s: %v, not refused as invalid", what, err)
					continue
				}
				causes := err.(apierrors.APIStatus).Status().Details.Causes
				if len(causes) != 1 || causes[0].Field != c.field {
					t.Errorf("%s: refused for %+v, not for %s alone", what, causes, c.field)
				}
			}
			good, err := r.Get(t.Context(), version+"good", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			good.Object["spec"] = map[string]any{"color": "green"}
			if _, err := r.Update(t.Context(), good, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
				t.Errorf("update: %v, not refused as invalid", err)
			}
		})
	}

	set, err := clientset.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	crd, err := set.ApiextensionsV1().CustomResourceDefinitions().Get(t.Context(), o.CRDs[0].Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range crd.Spec.Versions {
		spec := v.Schema.OpenAPIV3Schema.Properties["spec"]
		if spec.XValidations != nil || spec.Properties["list"].Items.Schema.XValidations != nil || spec.Properties["map"].AdditionalProperties.Schema.XValidations != nil {
			t.Errorf("%s: the server for custom resources has rules to compile", v.Name)
		}
	}
}

// TestSchemaRulesOfKeptFaults starts with objects that were stored when there were no
// rules: what is wrong in them may stay, and may not spread.
func TestSchemaRulesOfKeptFaults(t *testing.T) {
	dir := home(t)
	o := testOptions(t, dir)
	bare, _ := withoutRules([]*apiextensionsv1.CustomResourceDefinition{ruled()})
	o.CRDs[0] = bare[0]
	s := startServer(t, o)
	client, err := dynamic.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	widgetsOf := func(c dynamic.Interface) dynamic.ResourceInterface {
		return c.Resource(schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "widgets"}).Namespace("default")
	}
	_, err = widgetsOf(client).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "Widget", "metadata": map[string]any{"name": "old"},
		"spec": map[string]any{"color": "blue", "map": map[string]any{"k": "abc"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	o = testOptions(t, dir)
	o.CRDs[0] = ruled()
	s = startServer(t, o)
	if client, err = dynamic.NewForConfig(s.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	r := widgetsOf(client)
	old, err := r.Get(t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old.SetLabels(map[string]string{"a": "b"})
	if old, err = r.Update(t.Context(), old, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("a label of an object that breaks a rule already: %v", err)
	}
	old.Object["spec"] = map[string]any{"color": "white", "map": map[string]any{"k": "abc"}}
	if old, err = r.Update(t.Context(), old, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("a change beside what breaks a rule already: %v", err)
	}
	old.Object["spec"] = map[string]any{"color": "white", "map": map[string]any{"k": "abc"}, "list": []any{"abc"}}
	if _, err = r.Update(t.Context(), old, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a further fault: %v, not refused as invalid", err)
	}
}
