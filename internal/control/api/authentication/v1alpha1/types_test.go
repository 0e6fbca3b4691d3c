package v1alpha1

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1alpha1 "istio.io/api/meta/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const inSnakeCase = `
targets: [{name: customer, ports: [{number: 8080}, {name: http}]}]
peers: [{mtls: }, {mtls: {allow_tls: true, mode: PERMISSIVE}}]
peer_is_optional: true
origin_is_optional: true
principal_binding: USE_ORIGIN
origins:
- jwt:
    issuer: a
    audiences: [b]
    jwks_uri: http://a/b
    jwt_headers: [x-token]
    jwt_params: [token]
    trigger_rules: [{excluded_paths: [{exact: /a}], included_paths: [{regex: /b}]}]
`

const inCamelCase = `
targets: [{name: customer, ports: [{number: 8080}, {name: http}]}]
peers: [{mtls: {}}, {mtls: {allowTls: true, mode: PERMISSIVE}}]
peerIsOptional: true
originIsOptional: true
principalBinding: USE_ORIGIN
origins:
- jwt:
    issuer: a
    audiences: [b]
    jwksUri: http://a/b
    jwtHeaders: [x-token]
    jwtParams: [token]
    triggerRules: [{excludedPaths: [{exact: /a}], includedPaths: [{regex: /b}]}]
`

var want = PolicySpec{
	Targets:          []TargetSelector{{Name: "customer", Ports: []PortSelector{{Number: 8080}, {Name: "http"}}}},
	Peers:            []PeerAuthenticationMethod{{MTLS: &MutualTLS{}}, {MTLS: &MutualTLS{AllowTLS: true, Mode: Permissive}}},
	PeerIsOptional:   true,
	OriginIsOptional: true,
	PrincipalBinding: UseOrigin,
	Origins: []OriginAuthenticationMethod{{JWT: &JWT{
		Issuer: "a", Audiences: []string{"b"}, JWKSURI: "http://a/b", JWTHeaders: []string{"x-token"}, JWTParams: []string{"token"},
		TriggerRules: []TriggerRule{{ExcludedPaths: []StringMatch{{Exact: "/a"}}, IncludedPaths: []StringMatch{{Regex: "/b"}}}},
	}}},
}

func TestBothSpellings(t *testing.T) {
	for _, text := range []string{inSnakeCase, inCamelCase} {
		var got PolicySpec
		if err := yaml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
}

// TestFromUnstructured reads a policy the way informers do.
func TestFromUnstructured(t *testing.T) {
	var spec map[string]any
	if err := yaml.Unmarshal([]byte(inSnakeCase), &spec); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.istio.io/v1alpha1", "kind": "Policy",
		"metadata": map[string]any{"name": "a", "generation": int64(3)},
		"spec":     spec,
		"status":   map[string]any{"conditions": []any{map[string]any{"type": "Programmed", "status": "True", "observedGeneration": int64(3)}}},
	}}
	var got Policy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.Spec); d != "" {
		t.Errorf("spec (-want +got):\n%s", d)
	}
	if c := got.Status.GetConditions(); got.Generation != 3 || len(c) != 1 || c[0].GetObservedGeneration() != 3 {
		t.Errorf("metadata %+v, status %v", got.ObjectMeta, c)
	}
}

func TestSpelledTwice(t *testing.T) {
	var spec PolicySpec
	err := json.Unmarshal([]byte(`{"origins":[{"jwt":{"jwksUri":"a","jwks_uri":"b"}}]}`), &spec)
	if e := (*SpelledTwiceError)(nil); !errors.As(err, &e) || e.Camel != "jwksUri" {
		t.Errorf("got %v", err)
	}
}

func TestDeepCopySharesNothing(t *testing.T) {
	p := &Policy{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"a": "b"}}, Spec: *want.DeepCopy()}
	p.Status.Conditions = []*metav1alpha1.IstioCondition{{Type: "Programmed"}}
	c := p.DeepCopy()
	if d := cmp.Diff(p.Spec, c.Spec); d != "" {
		t.Fatalf("the copy differs: %s", d)
	}
	c.Labels["a"] = "c"
	c.Spec.Targets[0].Ports[0].Number = 1
	c.Spec.Peers[0].MTLS.Mode = Strict
	c.Spec.Origins[0].JWT.Audiences[0] = "x"
	c.Spec.Origins[0].JWT.TriggerRules[0].ExcludedPaths[0].Exact = "/x"
	c.Status.Conditions[0].Type = "x"
	if d := cmp.Diff(want, p.Spec, cmpopts.EquateEmpty()); d != "" || p.Labels["a"] != "b" || p.Status.Conditions[0].Type != "Programmed" {
		t.Errorf("the original changed: %s", d)
	}
	list := (&PolicyList{Items: []*Policy{p}}).DeepCopyObject().(*PolicyList)
	if list.Items[0] == p {
		t.Error("a list's copy shares its items")
	}
}
