package admission

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// TestGolden: each archive of testdata has objects (NAME.yaml) and what is said of
// them (NAME.errors, a line an error, no file for an object that is accepted).
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("testdata: %v", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			in, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for _, f := range in.Files {
				if name, ok := strings.CutSuffix(f.Name, ".errors"); ok {
					want[name] = string(f.Data)
				}
			}
			out := &txtar.Archive{Comment: in.Comment}
			for _, f := range in.Files {
				name, ok := strings.CutSuffix(f.Name, ".yaml")
				if !ok {
					continue
				}
				got := judged(t, f.Data)
				out.Files = append(out.Files, f)
				if got != "" {
					out.Files = append(out.Files, txtar.File{Name: name + ".errors", Data: []byte(got)})
				}
				if got != want[name] && !*update {
					t.Errorf("%s: got\n%swant\n%s", name, got, want[name])
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func object(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(text, &obj.Object); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if obj.GetKind() == "" || obj.GetAPIVersion() == "" {
		t.Fatalf("no kind in\n%s", text)
	}
	return obj
}

func judged(t *testing.T, text []byte) string {
	t.Helper()
	var b strings.Builder
	for _, err := range Validate(object(t, text), nil) {
		b.WriteString(err.Error() + "\n")
	}
	return b.String()
}

const bad = `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: a}, spec: {hosts: ["a b"]}}`

// TestOnlyChangesAreJudged: labels, status and finalizers of a bad object can be
// written.
func TestOnlyChangesAreJudged(t *testing.T) {
	old := object(t, []byte(bad))
	if len(Validate(old, nil)) == 0 {
		t.Fatal("the bad object is accepted")
	}
	labelled := old.DeepCopy()
	labelled.SetLabels(map[string]string{"a": "b"})
	if errs := Validate(labelled, old); len(errs) > 0 {
		t.Errorf("with another label: %v", errs)
	}
	changed := old.DeepCopy()
	if err := unstructured.SetNestedStringSlice(changed.Object, []string{"c d"}, "spec", "hosts"); err != nil {
		t.Fatal(err)
	}
	if errs := Validate(changed, old); len(errs) == 0 {
		t.Error("another bad spec is accepted")
	}
	now := object(t, []byte(strings.Replace(bad, "name: a", `name: a, deletionTimestamp: "2026-01-01T00:00:00Z"`, 1)))
	if errs := Validate(now, nil); len(errs) > 0 {
		t.Errorf("while it is deleted: %v", errs)
	}
}

// TestSecretsStaySecret: whatever is wrong with a key set or its URI, no error holds
// the secret.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
	for _, spec := range []string{
		`{jwtRules: [{issuer: a, jwks: '{"keys":[{"kty":"oct","k":"` + secret + `"},}'}]}`,
		`{jwtRules: [{issuer: a, jwks: '{"keys":{"kty":"oct","k":"` + secret + `"}}'}]}`,
		`{jwtRules: [{issuer: a, jwks: '` + secret + `'}]}`,
		`{jwtRules: [{issuer: a, jwks: '{"keys":[{"k":"` + secret + `"}]}', jwksUri: "http://a/b"}]}`,
		`{jwtRules: [{issuer: a, jwksUri: 'http://user:` + secret + `@a/b'}]}`,
		`{jwtRules: [{issuer: a, jwksUri: 'ftp://a/b?key=` + secret + `'}]}`,
		`{jwtRules: [{issuer: a, jwksUri: 'http:` + secret + `'}]}`,
		`{jwtRules: [{issuer: a, jwksUri: 'http://a:99999999/%zz?` + secret + `'}]}`,
		`{jwtRules: [{issuer: a, jwks: {k: ` + secret + `}}]}`,
	} {
		errs := judged(t, []byte(`{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: a}, spec: `+spec+`}`))
		if errs == "" {
			t.Errorf("%s is accepted", spec)
		}
		if strings.Contains(errs, secret) {
			t.Errorf("the secret is in %s", errs)
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(bad))
	f.Add([]byte(`{"apiVersion":"authentication.istio.io/v1alpha1","kind":"Policy","spec":{"peers":[{"mtls":null}],"jwks_uri":1}}`))
	f.Add([]byte(`{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","spec":{"rules":[{"when":[{"key":"request.headers["}]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		obj := &unstructured.Unstructured{}
		if obj.UnmarshalJSON(text) == nil {
			Validate(obj, nil)
		}
	})
}
