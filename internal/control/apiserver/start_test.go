package apiserver

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
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

func TestFailedStart(t *testing.T) {
	spoil := map[string]func(t *testing.T, o *Options){
		"damaged database": func(t *testing.T, o *Options) {
			db := filepath.Join(o.EtcdDir, "member", "snap")
			if err := os.MkdirAll(db, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(db, "db"), []byte("no database"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"bad key": func(t *testing.T, o *Options) {
			if err := os.MkdirAll(o.PKIDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(o.PKIDir, "admin.key"), []byte("no key"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"long socket": func(t *testing.T, o *Options) { o.SocketDir = filepath.Join(o.SocketDir, strings.Repeat("x", 100)) },
		"bad CRD":     func(t *testing.T, o *Options) { o.CRDs[0].Spec.Versions[0].Schema = nil },
	}
	names := map[string]string{"damaged database": "etcd", "bad key": "admin.key", "long socket": "107 bytes", "bad CRD": "widgets.networking.istio.io"}
	for what, do := range spoil {
		t.Run(what, func(t *testing.T) {
			o := testOptions(t, home(t))
			do(t, &o)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s, err := Start(ctx, o)
			if err == nil {
				s.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), names[what]) {
				t.Errorf("error does not name %s: %v", names[what], err)
			}
			if _, err := o.Listener.Accept(); err == nil {
				t.Error("the listener is open")
			}
		})
	}
}

func TestChangedCRD(t *testing.T) {
	dir := home(t)
	startServer(t, testOptions(t, dir)).Close()
	o := testOptions(t, dir)
	props := o.CRDs[0].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties
	props["weight"] = apiextensionsv1.JSONSchemaProps{Type: "integer"}
	s := startServer(t, o)
	set, err := clientset.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	crd, err := set.ApiextensionsV1().CustomResourceDefinitions().Get(t.Context(), o.CRDs[0].Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["weight"].Type; got != "integer" || crd.Generation != 2 {
		t.Errorf("weight is %q, generation %d", got, crd.Generation)
	}
	s.Close()
	s = startServer(t, o2(t, o, dir))
	set, err = clientset.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	again, err := set.ApiextensionsV1().CustomResourceDefinitions().Get(t.Context(), o.CRDs[0].Name, metav1.GetOptions{})
	if err != nil || again.ResourceVersion != crd.ResourceVersion {
		t.Errorf("written without a change: %v", err)
	}
}

// o2 is o with a listener of its own.
func o2(t *testing.T, o Options, dir string) Options {
	n := testOptions(t, dir)
	n.CRDs = o.CRDs
	return n
}

// TestLeaks starts and stops until what stays behind is known not to grow.
func TestLeaks(t *testing.T) {
	dir := home(t)
	var counts []int
	for range 3 {
		s := startServer(t, testOptions(t, dir))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, runtime.NumGoroutine())
	}
	if counts[2] > counts[0]+5 {
		t.Errorf("goroutines after each stop: %v", counts)
	}
}
