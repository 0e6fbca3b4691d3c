package xdsgen_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
)

// BenchmarkPolicyChange is what a change of one policy costs with 1,000 services and 10
// sidecars, from the objects to every proxy's resources.
func BenchmarkPolicyChange(b *testing.B) {
	object := func(format string, args ...any) *unstructured.Unstructured {
		u := objects(b, fmt.Appendf(nil, format, args...))[0]
		u.SetResourceVersion("1")
		u.SetGeneration(1)
		return u
	}
	var list []*unstructured.Unstructured
	for i := range 1000 {
		list = append(list, object("apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: tutorial}\nspec: {selector: {app: s%d}, ports: [{name: http, port: 8080}]}", i, i))
	}
	proxies := 10
	for i := range proxies {
		list = append(list, object("apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w%d, namespace: tutorial, labels: {app: s%d, security.istio.io/tlsMode: istio}}\nspec: {address: 127.1.0.%d, serviceAccount: a}", i, i, i+1))
	}
	var snapshots []*source.Snapshot
	for n := range 2 {
		p := object("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: tutorial}\nspec: {rules: [{to: [{operation: {paths: [/%d]}}]}]}", n)
		p.SetGeneration(int64(n + 1))
		in, err := source.FromObjects(uint64(n+1), append(list[:len(list):len(list)], p))
		if err != nil {
			b.Fatal(err)
		}
		if n > 0 {
			in.Reuse(snapshots[0])
		}
		snapshots = append(snapshots, in)
	}
	tr, gen := translate.New(), xdsgen.New(options)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		model, _ := tr.Translate(snapshots[n%2])
		n++
		for i := range proxies {
			gen.Generate(model, proxy(b, fmt.Appendf(nil, `{"Namespace":"tutorial","Name":"w%d","Outbound":"127.1.0.%d:15001",
				"Inbound":[{"Name":"http","Protocol":"http","Port":8080,"Listen":"127.1.0.%d:8080","App":"127.0.0.1:4000"}]}`, i, i+1, i+1)))
		}
	}
}
