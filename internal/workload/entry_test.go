package workload

import (
	"testing"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"istio.io/client-go/pkg/clientset/versioned/fake"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// TestWriteEntryIsOvertaken holds that a status written between the look and the
// write does not end the start, and that labels of others stay.
func TestWriteEntryIsOvertaken(t *testing.T) {
	entries := schema.GroupResource{Group: "networking.istio.io", Resource: "workloadentries"}
	for name, lost := range map[string]struct {
		verb string
		err  error
		old  []runtime.Object
	}{
		"update": {"update", apierrors.NewConflict(entries, "a", nil), []runtime.Object{
			&networking.WorkloadEntry{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "t", Labels: map[string]string{"of": "others"}}}}},
		"create": {"create", apierrors.NewAlreadyExists(entries, "a"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewSimpleClientset(lost.old...)
			failures := 2
			client.PrependReactor(lost.verb, "workloadentries", func(clienttesting.Action) (bool, runtime.Object, error) {
				failures--
				return failures >= 0, nil, lost.err
			})
			r := &Registry{istio: client}
			s := &spec.Spec{Name: "a", Namespace: "t", Address: "127.1.0.1", ServiceAccount: "sa", Labels: map[string]string{"app": "a"},
				Ports: []spec.Port{{Name: "http", Inbound: "127.1.0.1:8080"}}}
			if err := r.writeEntry(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			e, err := client.NetworkingV1().WorkloadEntries("t").Get(t.Context(), "a", metav1.GetOptions{})
			if err != nil || e.Spec.Ports["http"] != 8080 || e.Labels["app"] != "a" || len(lost.old) > 0 && e.Labels["of"] != "others" {
				t.Errorf("%v, %v", e, err)
			}
		})
	}
}
