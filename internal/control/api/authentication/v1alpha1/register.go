package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is that of Policy and MeshPolicy.
var GroupVersion = schema.GroupVersion{Group: "authentication.istio.io", Version: "v1alpha1"}

// AddToScheme makes the kinds known to s. It never fails.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Policy{}, &PolicyList{}, &MeshPolicy{}, &MeshPolicyList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
