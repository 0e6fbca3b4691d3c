package api

import (
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	securityv1beta1 "istio.io/client-go/pkg/apis/security/v1beta1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
)

// Scheme has the Go types of everything the control plane reads and writes: core/v1,
// discovery/v1, authentication/v1 (token review), Istio's kinds in all their versions,
// Policy and MeshPolicy. It is new at each call.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme,
		discoveryv1.AddToScheme,
		authenticationv1.AddToScheme,
		networkingv1.AddToScheme,
		networkingv1beta1.AddToScheme,
		networkingv1alpha3.AddToScheme,
		securityv1.AddToScheme,
		securityv1beta1.AddToScheme,
		v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two packages claim one kind: a fault of the build
		}
	}
	return s
}
