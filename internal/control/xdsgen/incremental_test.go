package xdsgen_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

// variants are objects of which a random walk takes one, none, or another each
// step: %d is a small number.
var variants = []string{
	"apiVersion: v1\nkind: Service\nmetadata: {name: customer, namespace: tutorial}\nspec: {selector: {app: customer}, ports: [{name: http, port: 808%d}]}",
	"apiVersion: v1\nkind: Service\nmetadata: {name: preference, namespace: tutorial}\nspec: {selector: {app: preference}, ports: [{name: http, port: 808%d}]}",
	"apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: customer-v1, namespace: tutorial, labels: {app: customer, security.istio.io/tlsMode: istio}}\nspec: {address: 127.1.0.%d, serviceAccount: customer}",
	"apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: preference-v1, namespace: tutorial, labels: {app: preference, version: v%d, security.istio.io/tlsMode: istio}}\nspec: {address: 127.1.0.9, serviceAccount: p}",
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: p, namespace: tutorial}\nspec: {host: preference, subsets: [{name: s, labels: {version: v%d}}]}",
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: q, namespace: tutorial}\nspec: {host: preference, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-%d}}, outlierDetection: {}}, subsets: [{name: s, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}]}",
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: p, namespace: tutorial}\nspec: {hosts: [preference.tutorial], http: [{route: [{destination: {host: preference.tutorial, subset: s}}], timeout: %ds}]}",
	"apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: r, namespace: tutorial}\nspec: {jwtRules: [{issuer: i%d, jwksUri: 'http://preference.tutorial:8081/keys'}]}",
	"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: istio-system}\nspec: {rules: [{from: [{source: {requestPrincipals: ['i%d/*']}}]}]}",
	"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: c, namespace: tutorial}\nspec: {action: CUSTOM, selector: {matchLabels: {version: v%d}}, rules: [{}]}",
	"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: tutorial}\nspec: {selector: {matchLabels: {version: v%d}}, mtls: {mode: DISABLE}}",
	"apiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: {name: p, namespace: tutorial}\nspec: {targets: [{name: preference, ports: [{number: 808%d}]}], peers: [{mtls: {}}], origins: [{jwt: {issuer: i, jwksUri: 'http://x/'}}]}",
	"apiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: {name: default}\nspec: {origins: [{jwt: {issuer: m%d, jwksUri: 'http://y/'}}]}",
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}', other: '%d'}",
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: tutorial}\nspec: {selector: {app: customer}, servers: [{port: {number: 8%d, name: http, protocol: HTTP}, hosts: ['*']}]}",
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: g, namespace: tutorial}\nspec: {hosts: ['h%d.example'], gateways: [g], http: [{route: [{destination: {host: preference}}]}]}",
}

// TestIncremental walks through random changes: what a translator and a generator
// with a past make must equal what new ones make.
func TestIncremental(t *testing.T) {
	sidecar := proxy(t, []byte(`{"Namespace":"tutorial","Name":"preference-v1","Outbound":"127.1.0.9:15001",
		"Inbound":[{"Name":"http","Protocol":"http","Port":8081,"Listen":"127.1.0.9:8081","App":"127.0.0.1:4000"}]}`))
	gateway := proxy(t, []byte(`{"Kind":1,"Namespace":"tutorial","Name":"customer-v1","GatewayPorts":{"81":9081}}`))
	rapid.Check(t, func(rt *rapid.T) {
		tr, gen := translate.New(), xdsgen.New(options)
		now := make([]*unstructured.Unstructured, len(variants))
		version := 0
		old, err := source.FromObjects(1, nil)
		if err != nil {
			rt.Fatal(err)
		}
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			for range rapid.IntRange(1, 3).Draw(rt, "changes") {
				i := rapid.IntRange(0, len(variants)-1).Draw(rt, "which")
				now[i] = nil
				if n := rapid.IntRange(0, 2).Draw(rt, "how"); n > 0 {
					version++
					text := variants[i]
					if strings.Contains(text, "%d") {
						text = fmt.Sprintf(text, n)
					}
					now[i] = objects(t, []byte(text))[0]
					now[i].SetGeneration(int64(version))
					now[i].SetResourceVersion(fmt.Sprint(version))
				}
			}
			var list []*unstructured.Unstructured
			for _, u := range now {
				if u != nil {
					list = append(list, u)
				}
			}
			in, err := source.FromObjects(uint64(step+2), list)
			if err != nil {
				rt.Fatal(err)
			}
			in.Reuse(old)
			old = in
			model, statuses := tr.Translate(in)
			wantModel, wantStatuses := translate.New().Translate(in)
			same(rt, "statuses", wantStatuses, statuses)
			same(rt, "model", wantModel, model)
			fresh := xdsgen.New(options)
			for _, p := range []*mesh.Proxy{sidecar, gateway} {
				same(rt, p.Name, versions(fresh.Generate(wantModel, p)), versions(gen.Generate(model, p)))
			}
		}
	})
}

func same(t *rapid.T, what string, want, got any) {
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("%s (-full +incremental)\n%s", what, d)
	}
}

func versions(s *xdsgen.Set) map[string]string {
	out := map[string]string{}
	for _, m := range s.ByType {
		for _, r := range m {
			out[r.Type+" "+r.Name] = r.Version + fmt.Sprint(r.Origins)
		}
	}
	return out
}

// TestUnchangedMapsStay holds that a change of policy gives the very maps of clusters,
// endpoints and routes again, so that nobody compares a thousand services with themselves.
func TestUnchangedMapsStay(t *testing.T) {
	sidecar := proxy(t, []byte(`{"Namespace":"tutorial","Name":"preference-v1","Outbound":"127.1.0.9:15001",
		"Inbound":[{"Name":"http","Protocol":"http","Port":8081,"Listen":"127.1.0.9:8081","App":"127.0.0.1:4000"}]}`))
	tr, gen := translate.New(), xdsgen.New(options)
	var old *source.Snapshot
	var before *xdsgen.Set
	for generation, path := range []string{"/a", "/b"} {
		var list []*unstructured.Unstructured
		for _, text := range append(variants[:4:4], "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: tutorial}\nspec: {rules: [{to: [{operation: {paths: ['"+path+"']}}]}]}") {
			u := objects(t, []byte(strings.ReplaceAll(text, "%d", "1")))[0]
			u.SetResourceVersion(fmt.Sprint(len(list)))
			u.SetGeneration(1)
			if u.GetKind() == "AuthorizationPolicy" {
				u.SetResourceVersion(path)
				u.SetGeneration(int64(generation + 1))
			}
			list = append(list, u)
		}
		in, err := source.FromObjects(uint64(generation+1), list)
		if err != nil {
			t.Fatal(err)
		}
		if old != nil {
			in.Reuse(old)
		}
		old = in
		model, _ := tr.Translate(in)
		set := gen.Generate(model, sidecar)
		if before == nil {
			before = set
			continue
		}
		if d := cmp.Diff(versions(before), versions(set)); !strings.Contains(d, "inbound_127.1.0.9_8081") {
			t.Fatalf("the policy changed nothing: %s", d)
		}
		for _, kind := range []string{xdsgen.ClusterType, xdsgen.EndpointType, xdsgen.RouteType} {
			if a, b := before.ByType[kind], set.ByType[kind]; len(a) == 0 || reflect.ValueOf(a).Pointer() != reflect.ValueOf(b).Pointer() {
				t.Errorf("%s: another map (%d entries)", kind, len(a))
			}
		}
	}
}
