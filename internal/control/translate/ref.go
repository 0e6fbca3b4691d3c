package translate

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

const (
	networking     = "networking.istio.io"
	security       = "security.istio.io"
	authentication = "authentication.istio.io"
)

func refOf(group, kind string, o metav1.Object) mesh.Ref {
	return mesh.Ref{Group: group, Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// older orders objects by age, then by name: of two that conflict the first
// wins.
func older(a, b metav1.Object) bool {
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !at.Equal(&bt) {
		return at.Before(&bt)
	}
	if a.GetNamespace() != b.GetNamespace() {
		return a.GetNamespace() < b.GetNamespace()
	}
	return a.GetName() < b.GetName()
}
