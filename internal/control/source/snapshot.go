package source

import (
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	authv1alpha1 "github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
)

// Snapshot is every object that the mesh is made from, at one moment. Lists are
// sorted by namespace and name. Nothing in it is ever changed: an object that
// did not change between two snapshots is the same pointer in both, and so is
// one of which only the status or managed fields did.
type Snapshot struct {
	Generation uint64 // counts from 1

	Namespaces      []*corev1.Namespace
	Services        []*corev1.Service
	ServiceAccounts []*corev1.ServiceAccount
	// Secrets are those with a certificate (type kubernetes.io/tls, or a key such
	// as cert or cacert); others have no data here.
	Secrets        []*corev1.Secret
	ConfigMaps     []*corev1.ConfigMap // the mesh configuration alone
	EndpointSlices []*discoveryv1.EndpointSlice

	Gateways         []*networkingv1.Gateway
	VirtualServices  []*networkingv1.VirtualService
	DestinationRules []*networkingv1.DestinationRule
	ServiceEntries   []*networkingv1.ServiceEntry
	WorkloadEntries  []*networkingv1.WorkloadEntry
	WorkloadGroups   []*networkingv1.WorkloadGroup
	Sidecars         []*networkingv1.Sidecar

	RequestAuthentications []*securityv1.RequestAuthentication
	AuthorizationPolicies  []*securityv1.AuthorizationPolicy
	PeerAuthentications    []*securityv1.PeerAuthentication

	Policies     []*authv1alpha1.Policy
	MeshPolicies []*authv1alpha1.MeshPolicy

	// Undecodable are objects that are stored but say something that this
	// version does not know. What they select must be denied.
	Undecodable []*Undecodable
}

// Undecodable is an object of a custom resource that could not be decoded.
type Undecodable struct {
	*unstructured.Unstructured
	Err error
}
