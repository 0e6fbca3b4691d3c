package translate_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
)

// What is mirrored is mirrored by the share that is said, or the object is refused.
func TestMirror(t *testing.T) {
	to := func(share float64) mesh.Mirror {
		return mesh.Mirror{Destination: mesh.Destination{Host: "m.example.com", Port: 80}, Share: share}
	}
	const d = "{host: m.example.com, port: {number: 80}}"
	for text, want := range map[string]any{
		"mirror: " + d: []mesh.Mirror{to(100)},
		"mirror: " + d + ", mirrorPercentage: {value: 0.5}":                                     []mesh.Mirror{to(0.5)},
		"mirror: " + d + ", mirrorPercentage: {value: 0}":                                       []mesh.Mirror(nil),
		"mirror: " + d + ", mirrorPercent: 7":                                                   []mesh.Mirror{to(7)},
		"mirrors: [{destination: " + d + "}, {destination: " + d + ", percentage: {value: 3}}]": []mesh.Mirror{to(100), to(3)},
		"mirror: " + d + ", mirrorPercentage: {value: 101}":                                     "mirror",
		"mirrors: [{destination: " + d + "}, {percentage: {value: 3}}]":                         "mirrors[1].destination.host",
	} {
		m, statuses := model(t, fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: ns}\nspec: {hosts: [h.example.com], http: [{%s, route: [{destination: {host: h.example.com}}]}]}\n", text))
		st := statuses["VirtualService/v"]
		if part, refused := want.(string); refused {
			if st.Accepted || !strings.Contains(st.Message, "spec.http[0]."+part) {
				t.Errorf("%s: %+v", text, st)
			}
			continue
		}
		for _, w := range st.Warnings {
			if !strings.Contains(w, "there is no service") {
				t.Errorf("%s: %s", text, w)
			}
		}
		if !st.Accepted || len(m.VirtualServices) != 1 || !reflect.DeepEqual(m.VirtualServices[0].Routes[0].Mirrors, want) {
			t.Errorf("%s: %+v %+v", text, st, m.VirtualServices)
		}
	}
}
