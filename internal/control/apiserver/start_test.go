package apiserver

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// home is a folder for a server's data whose path leaves room for a socket's name.
func home(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("", "usher")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

func testOptions(t testing.TB, dir string) Options {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		EtcdDir:   filepath.Join(dir, "etcd"),
		SocketDir: filepath.Join(dir, "run"),
		PKIDir:    filepath.Join(dir, "pki"),
		Listener:  l,
		CRDs:      []*apiextensionsv1.CustomResourceDefinition{widgets(), clusterWidgets()},
		Validate:  refuseRed,
		Log:       slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func startServer(t testing.TB, o Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// refuseRed is the admission of the tests' own kinds.
func refuseRed(_ context.Context, obj, _ *unstructured.Unstructured) field.ErrorList {
	color, _, _ := unstructured.NestedString(obj.Object, "spec", "color")
	if color == "red" {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "color"), color, "red is taken")}
	}
	return nil
}

func widgets() *apiextensionsv1.CustomResourceDefinition {
	return definition("Widget", "widgets", "wd", apiextensionsv1.NamespaceScoped)
}

func clusterWidgets() *apiextensionsv1.CustomResourceDefinition {
	return definition("ClusterWidget", "clusterwidgets", "cwd", apiextensionsv1.ClusterScoped)
}

func definition(kind, plural, short string, scope apiextensionsv1.ResourceScope) *apiextensionsv1.CustomResourceDefinition {
	text := apiextensionsv1.JSONSchemaProps{Type: "string", Description: "What it looks like."}
	schema := &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
		Type: "object",
		Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"spec": {
				Type:        "object",
				Description: "What is wanted.",
				Properties: map[string]apiextensionsv1.JSONSchemaProps{
					"color": text,
					"size":  {Type: "string", Enum: []apiextensionsv1.JSON{{Raw: []byte(`"small"`)}, {Raw: []byte(`"large"`)}}},
				},
			},
			"status": {Type: "object", XPreserveUnknownFields: new(true)},
		},
	}}
	version := func(name string, storage bool) apiextensionsv1.CustomResourceDefinitionVersion {
		return apiextensionsv1.CustomResourceDefinitionVersion{
			Name: name, Served: true, Storage: storage, Schema: schema,
			Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{
				{Name: "Color", Type: "string", JSONPath: ".spec.color"},
				{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"},
			},
		}
	}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + ".networking.istio.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "networking.istio.io",
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind: kind, ListKind: kind + "List", Plural: plural, Singular: strings.ToLower(kind), ShortNames: []string{short},
			},
			Scope:    scope,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{version("v1", true), version("v1alpha3", false)},
		},
	}
}

func TestStartTwice(t *testing.T) {
	dir := home(t)
	for i, what := range []string{"first", "second"} {
		begin := time.Now()
		s := startServer(t, testOptions(t, dir))
		t.Logf("%s start: %v", what, time.Since(begin).Round(time.Millisecond))
		select {
		case <-s.Done():
			t.Fatal(s.Err())
		default:
		}
		begin = time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("close %d: %v", i, time.Since(begin).Round(time.Millisecond))
	}
}
