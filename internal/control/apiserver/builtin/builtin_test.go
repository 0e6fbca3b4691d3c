package builtin

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"
)

// TestValidation reads objects as the server does, defaults included, and compares
// what is wrong with them.
func TestValidation(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme).UniversalDeserializer()
	strategies := map[string]strategy{}
	for _, k := range kinds() {
		gvk, err := kindOf(scheme, k.new())
		if err != nil {
			t.Fatal(err)
		}
		strategies[gvk.Kind] = strategy{ObjectTyper: scheme, kind: k}
	}
	const svc = "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: "
	const slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, namespace: ns}, "
	const secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, "
	for _, c := range []struct{ object, want string }{
		{svc + "{clusterIP: 10.96.0.1, ports: [{port: 80}]}}", ""},
		{svc + "{clusterIP: None}}", ""},
		{svc + "{clusterIP: 10.96.0.1}}", "spec.ports: Required value"},
		{svc + "{clusterIP: 10.96.0.1, ports: [{port: 80}, {port: 81}]}}", "spec.ports[0].name: Required value"},
		{svc + "{clusterIP: 10.96.0.1, ports: [{name: a, port: 80}, {name: a, port: 81}]}}", `spec.ports[1].name: Duplicate value: "a"`},
		{svc + "{clusterIP: 10.96.0.1, ports: [{name: a, port: 80}, {name: b, port: 80}]}}", "spec.ports[1]: Duplicate value: 80"},
		{svc + "{clusterIP: 10.96.0.1, ports: [{port: 70000}]}}", "spec.ports[0].port: Invalid value: 70000"},
		{svc + "{clusterIP: 10.96.0.1, ports: [{port: 80, protocol: HTTP}]}}", `spec.ports[0].protocol: Unsupported value: "HTTP"`},
		{svc + "{clusterIP: 10.96.0.1, ports: [{port: 80, targetPort: Bad_Name}]}}", "spec.ports[0].targetPort: Invalid value"},
		{svc + "{clusterIP: 10.96.0.01, ports: [{port: 80}]}}", "spec.clusterIP: Invalid value"},
		{svc + "{type: LoadBalancer, ports: [{port: 80}]}}", `spec.type: Unsupported value: "LoadBalancer"`},
		{svc + "{type: ExternalName, externalName: example.com}}", ""},
		{svc + "{type: ExternalName, externalName: '-'}}", "spec.externalName: Invalid value"},
		{"{apiVersion: v1, kind: Service, metadata: {name: 1s, namespace: ns}, spec: {clusterIP: None}}", "metadata.name: Invalid value"},
		{slice + "addressType: IPv4, endpoints: [{addresses: [127.1.2.3]}], ports: [{port: 80}]}", ""},
		{slice + "endpoints: []}", "addressType: Required value"},
		{slice + "addressType: IPv5}", "addressType: Unsupported value"},
		{slice + "addressType: IPv4, endpoints: [{addresses: ['::1']}]}", "endpoints[0].addresses[0]: Invalid value"},
		{slice + "addressType: IPv4, endpoints: [{addresses: [0.0.0.0]}]}", "may not be unspecified"},
		{slice + "addressType: IPv4, endpoints: [{}]}", "endpoints[0].addresses: Required value"},
		{slice + "addressType: IPv4, ports: [{port: 1}, {port: 2}]}", "ports[1].name: Duplicate value"},
		{secret + "stringData: {a: b}}", ""},
		{secret + "data: {'a/b': Yg==}}", "data[a/b]: Invalid value"},
		{secret + "type: kubernetes.io/tls, stringData: {tls.crt: x, tls.key: z}}", ""},
		{secret + "type: kubernetes.io/tls}", "data[tls.crt]: Required value"},
		{secret + "type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: 'no'}}", "not JSON"},
		{secret + "type: kubernetes.io/service-account-token}", "type: Unsupported value"},
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {a: b}, binaryData: {a: Yg==}}", "duplicate of key"},
		{"{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}", "metadata.name: Invalid value"},
		{"{apiVersion: v1, kind: Event, metadata: {name: e, namespace: ns}, involvedObject: {namespace: other}}", "does not match event.namespace"},
	} {
		j, err := yaml.YAMLToJSON([]byte(c.object))
		if err != nil {
			t.Fatal(err)
		}
		obj, gvk, err := decoder.Decode(j, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.object, err)
		}
		scheme.Default(obj)
		errs := strategies[gvk.Kind].Validate(t.Context(), obj)
		if c.want == "" && len(errs) > 0 || c.want != "" && (len(errs) == 0 || !strings.Contains(errs[0].Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.object, errs, c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	s := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}}
	defaultService(s)
	if p := s.Spec.Ports[0]; p.Protocol != corev1.ProtocolTCP || p.TargetPort.IntValue() != 8080 || s.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("service: %+v", s.Spec)
	}
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	defaultNamespace(n)
	if n.Labels[corev1.LabelMetadataName] != "n" {
		t.Errorf("namespace: %+v", n)
	}
	sec := &corev1.Secret{Data: map[string][]byte{"a": []byte("old")}, StringData: map[string]string{"a": "new"}}
	defaultSecret(sec)
	if string(sec.Data["a"]) != "new" || sec.StringData != nil || sec.Type != corev1.SecretTypeOpaque {
		t.Errorf("secret: %+v", sec)
	}
}

func TestImmutable(t *testing.T) {
	yes := true
	old := &corev1.ConfigMap{Data: map[string]string{"a": "1"}, Immutable: &yes}
	changed := &corev1.ConfigMap{Data: map[string]string{"a": "2"}}
	if errs := immutableConfigMap(changed, old); len(errs) != 2 {
		t.Errorf("config map: %v", errs)
	}
	s := &corev1.Secret{Type: "a", Data: map[string][]byte{"a": nil}, Immutable: &yes}
	if errs := immutableSecret(&corev1.Secret{Type: "b", Immutable: &yes}, s); len(errs) != 2 {
		t.Errorf("secret: %v", errs)
	}
}

func TestTables(t *testing.T) {
	port := int32(80)
	for _, c := range []struct {
		kind *kind
		obj  runtime.Object
		want []any
	}{
		{endpointSliceKind(), &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, AddressType: "IPv4", Ports: []discoveryv1.EndpointPort{{Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"a", "b"}}, {Addresses: []string{"c", "d", "e"}}}},
			[]any{"s", "IPv4", "80", "a,b,c + 2 more...", "<unknown>"}},
		{serviceKind(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Type: "ExternalName", ExternalName: "x.y", Selector: map[string]string{"a": "b"}}},
			[]any{"s", "ExternalName", "<none>", "x.y", "<none>", "<unknown>", "a=b"}},
		{secretKind(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: "Opaque"}, []any{"s", "Opaque", int64(0), "<unknown>"}},
	} {
		got, err := table{c.kind}.ConvertToTable(t.Context(), c.obj, nil)
		if err != nil {
			t.Fatal(err)
		}
		cells := got.Rows[0].Cells
		if len(cells) != len(got.ColumnDefinitions) || len(cells) != len(c.want) {
			t.Fatalf("%d cells, %d columns, want %v", len(cells), len(got.ColumnDefinitions), c.want)
		}
		for i := range cells {
			if cells[i] != c.want[i] {
				t.Errorf("column %s: %v, want %v", got.ColumnDefinitions[i].Name, cells[i], c.want[i])
			}
		}
	}
}
