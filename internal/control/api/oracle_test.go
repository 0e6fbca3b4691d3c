package api

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// istioCRDs are Istio's own definitions, from the module cache.
func istioCRDs(t *testing.T) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*apiextensionsv1.CustomResourceDefinition{}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var crd apiextensionsv1.CustomResourceDefinition
		switch err := d.Decode(&crd); {
		case err == io.EOF:
			return out
		case err != nil:
			t.Fatal(err)
		case crd.Name != "":
			out[crd.Name] = &crd
		}
	}
}

// TestNamesAreIstios compares what kubectl shows of a kind.
func TestNamesAreIstios(t *testing.T) {
	istio := istioCRDs(t)
	for _, crd := range CRDs() {
		if crd.Spec.Group == authentication {
			continue // Istio has it no more
		}
		want := istio[crd.Name]
		if want == nil {
			t.Errorf("%s is none of Istio's", crd.Name)
			continue
		}
		if d := cmp.Diff(want.Spec.Names, crd.Spec.Names); d != "" {
			t.Errorf("%s: names (-Istio's +ours):\n%s", crd.Name, d)
		}
		if want.Spec.Scope != crd.Spec.Scope || len(want.Spec.Versions) != len(crd.Spec.Versions) {
			t.Errorf("%s: scope or number of versions differ", crd.Name)
			continue
		}
		for i, v := range crd.Spec.Versions {
			w := want.Spec.Versions[i]
			if v.Name != w.Name || v.Served != w.Served || v.Storage != w.Storage || (v.Subresources.Status == nil) != (w.Subresources.Status == nil) {
				t.Errorf("%s: version %s is not Istio's %s", crd.Name, v.Name, w.Name)
			}
			if d := cmp.Diff(columnTexts(w), columnTexts(v)); d != "" {
				t.Errorf("%s %s: printer columns (-Istio's +ours):\n%s", crd.Name, v.Name, d)
			}
		}
	}
}

func columnTexts(v apiextensionsv1.CustomResourceDefinitionVersion) []string {
	var out []string
	for _, c := range v.AdditionalPrinterColumns {
		out = append(out, strings.Join([]string{c.Name, c.Type, c.JSONPath, c.Format}, " "))
	}
	return out
}

// TestConstraintsAreIstios compares the schemas themselves, except for descriptions
// and the text of rules, which say the same with other quotes.
func TestConstraintsAreIstios(t *testing.T) {
	istio := istioCRDs(t)
	for _, crd := range CRDs() {
		if want := istio[crd.Name]; want != nil {
			for i, v := range crd.Spec.Versions {
				theirs, ours := want.Spec.Versions[i].Schema.OpenAPIV3Schema, v.Schema.OpenAPIV3Schema
				if d := cmp.Diff(bare(*theirs), bare(*ours)); d != "" {
					t.Errorf("%s %s (-Istio's +ours):\n%s", crd.Name, v.Name, d)
				}
			}
		}
	}
}

// bare is s without descriptions and rules' texts, its unordered lists sorted.
func bare(s apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	s.Description = ""
	s.Required = slices.Sorted(slices.Values(s.Required))
	s.XValidations = slices.Clone(s.XValidations)
	for i := range s.XValidations {
		s.XValidations[i].Rule = ""
	}
	properties := map[string]apiextensionsv1.JSONSchemaProps{}
	for name, p := range s.Properties {
		properties[name] = bare(p)
	}
	s.Properties = properties
	if s.Items != nil {
		items := bare(*s.Items.Schema)
		s.Items = &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &items}
	}
	if s.AdditionalProperties != nil {
		values := bare(*s.AdditionalProperties.Schema)
		s.AdditionalProperties = &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true, Schema: &values}
	}
	return s
}

// TestSchemasAreIstios gives random objects to Istio's schemas and to ours: each is
// accepted by both, or refused by both for the same fields.
func TestSchemasAreIstios(t *testing.T) {
	istio := istioCRDs(t)
	for _, crd := range CRDs() {
		want := istio[crd.Name]
		if want == nil {
			continue
		}
		t.Run(crd.Spec.Names.Kind, func(t *testing.T) {
			oracle := want.Spec.Versions[0].Schema.OpenAPIV3Schema
			theirs := newValidator(t, oracle)
			ours := newValidator(t, crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
			accepted, refused := 0, 0
			for seed := range uint64(600) {
				g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), wrong: int(seed % 4)}
				obj, _ := g.value(oracle, 0).(map[string]any)
				if obj == nil {
					obj = map[string]any{}
				}
				obj["apiVersion"], obj["kind"] = crd.Spec.Group+"/v1", crd.Spec.Names.Kind
				obj["metadata"] = map[string]any{"name": "random"}
				w, o := theirs.judge(obj), ours.judge(obj)
				if !slices.Equal(w, o) {
					text, _ := json.Marshal(obj)
					t.Fatalf("seed %d: Istio refuses for %q, we for %q:\n%s", seed, w, o, text)
				}
				if len(w) == 0 {
					accepted++
				} else {
					refused++
				}
			}
			if accepted < 50 || refused < 50 {
				t.Errorf("%d accepted, %d refused: the objects are not random enough to tell the schemas apart", accepted, refused)
			}
		})
	}
}
