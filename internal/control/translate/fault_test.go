package translate_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/mesh"
)

// What a fault says is done as it stands, or the object is refused.
func TestFault(t *testing.T) {
	number := func(n uint32) *uint32 { return &n }
	for text, want := range map[string]any{
		"{delay: {fixedDelay: 2s, percentage: {value: 0.5}}}":        &mesh.Fault{Delay: 2 * time.Second, DelayShare: 0.5},
		"{delay: {fixedDelay: 2s, percent: 7}}":                      &mesh.Fault{Delay: 2 * time.Second, DelayShare: 7},
		"{delay: {fixedDelay: 2s}}":                                  &mesh.Fault{Delay: 2 * time.Second},
		"{abort: {httpStatus: 418, percentage: {value: 100}}}":       &mesh.Fault{AbortHTTP: number(418), AbortShare: 100},
		"{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}}": &mesh.Fault{AbortGRPC: number(14), AbortShare: 1},
		"{abort: {grpcStatus: NONE}}":                                "grpcStatus",
		"{abort: {httpStatus: 199}}":                                 "httpStatus",
		"{abort: {http2Error: x}}":                                   "abort",
		"{abort: {}}":                                                "abort",
		"{abort: {httpStatus: 500, percentage: {value: 101}}}":       "percentage",
		"{delay: {fixedDelay: 2s, percentage: {value: -1}}}":         "percentage",
		"{delay: {exponentialDelay: 2s}}":                            "fixedDelay",
		"{delay: {fixedDelay: 0s}}":                                  "fixedDelay",
	} {
		m, statuses := model(t, fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: ns}\nspec: {hosts: [h], http: [{fault: %s, directResponse: {status: 200}}]}\n", text))
		st := statuses["VirtualService/v"]
		if part, refused := want.(string); refused {
			if st.Accepted || !strings.Contains(st.Message, "spec.http[0].fault") || !strings.Contains(st.Message, part) {
				t.Errorf("%s: %+v", text, st)
			}
			continue
		}
		if !st.Accepted || len(st.Warnings) > 0 || len(m.VirtualServices) != 1 || !reflect.DeepEqual(m.VirtualServices[0].Routes[0].Fault, want) {
			t.Errorf("%s: %+v", text, st)
		}
	}
}
