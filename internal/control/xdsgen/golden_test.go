package xdsgen_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

var update = flag.Bool("update", false, "write the goldens anew")

var options = xdsgen.Options{MirrorAddr: netip.MustParseAddrPort("127.0.0.1:15443")}

// always are the clusters that every proxy has; fixed.txtar alone shows them.
var always = map[string]bool{"PassthroughCluster": true, "BlackHoleCluster": true, "usher-jwks-mirror": true}

// TestGolden reads objects.yaml and proxy.json of each file in testdata, and
// compares the statuses and the resources of the types that the file has.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			model, statuses := translate.New().Translate(snapshotOf(t, 1, file(a, "objects.yaml")))
			set := xdsgen.New(options).Generate(model, proxy(t, file(a, "proxy.json")))
			validate(t, set)
			got := map[string][]byte{"statuses.yaml": toYAML(t, statuses)}
			for name, typ := range types {
				got[name] = show(t, set.ByType[typ], f == "testdata/fixed.txtar")
			}
			changed := false
			for i, want := range a.Files {
				g, ok := got[want.Name]
				if !ok || bytes.Equal(g, want.Data) {
					continue
				}
				if *update {
					a.Files[i].Data, changed = g, true
					continue
				}
				t.Errorf("%s (-want +got)\n%s", want.Name, cmp.Diff(string(want.Data), string(g)))
			}
			if changed {
				if err := os.WriteFile(f, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

var types = map[string]string{
	"clusters.yaml": xdsgen.ClusterType, "endpoints.yaml": xdsgen.EndpointType, "listeners.yaml": xdsgen.ListenerType,
	"routes.yaml": xdsgen.RouteType, "secrets.yaml": xdsgen.SecretType,
}

func file(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// objects reads YAML documents.
func objects(t testing.TB, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split(string(text), "\n---\n") {
		m := map[string]any{}
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatal(err)
		}
		if len(m) == 0 {
			continue
		}
		j, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(j); err != nil {
			t.Fatal(err)
		}
		if u.GetGeneration() == 0 {
			u.SetGeneration(1)
		}
		out = append(out, u)
	}
	return out
}

func snapshotOf(t testing.TB, generation uint64, text []byte) *source.Snapshot {
	t.Helper()
	s, err := source.FromObjects(generation, objects(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func proxy(t testing.TB, text []byte) *mesh.Proxy {
	t.Helper()
	p := &mesh.Proxy{Usher: true}
	if err := json.Unmarshal(text, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func toYAML(t testing.TB, v any) []byte {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// show gives resources as YAML, sorted by name.
func show(t testing.TB, m map[string]*xdsgen.Resource, everything bool) []byte {
	t.Helper()
	names := make([]string, 0, len(m))
	for n := range m {
		if everything || !always[n] {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	var b bytes.Buffer
	for _, n := range names {
		msg := message(t, m[n])
		j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yaml.JSONToYAML(j)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n")
		for _, r := range m[n].Origins {
			b.WriteString("# from " + r.Kind + " " + r.Namespace + "/" + r.Name + "\n")
		}
		b.Write(y)
	}
	return b.Bytes()
}

func message(t testing.TB, r *xdsgen.Resource) proto.Message {
	t.Helper()
	m, err := r.Any.UnmarshalNew()
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	return m
}

// validate asks Envoy's own rules of every message, those in Any fields included.
func validate(t testing.TB, set *xdsgen.Set) {
	t.Helper()
	for typ, m := range set.ByType {
		for name, r := range m {
			if r.Type != typ || r.Name != name {
				t.Errorf("%s: filed under %s", r.Name, name)
			}
			every(t, message(t, r), func(m proto.Message) {
				if v, ok := m.(interface{ ValidateAll() error }); ok {
					if err := v.ValidateAll(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
}
