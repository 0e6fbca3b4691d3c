package source

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"

	authv1alpha1 "github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
)

// kind is one resource that is watched.
type kind struct {
	resource schema.GroupVersionResource
	custom   bool   // read without types and decoded strictly
	fields   string // field selector
	// put stores a kind's sorted objects in a snapshot.
	put func(*Snapshot, []metav1.Object)
	// get gives them back, less what could not be decoded.
	get func(*Snapshot) []metav1.Object
}

const (
	networkingGroup     = "networking.istio.io"
	securityGroup       = "security.istio.io"
	authenticationGroup = "authentication.istio.io"
)

// field is where a snapshot has the objects of a kind.
func field[T metav1.Object](at func(*Snapshot) *[]T) (func(*Snapshot, []metav1.Object), func(*Snapshot) []metav1.Object) {
	put := func(s *Snapshot, objects []metav1.Object) {
		list := make([]T, 0, len(objects))
		for _, o := range objects {
			switch t := o.(type) {
			case T:
				list = append(list, t)
			case *Undecodable:
				s.Undecodable = append(s.Undecodable, t)
			}
		}
		*at(s) = list
	}
	get := func(s *Snapshot) []metav1.Object {
		out := make([]metav1.Object, len(*at(s)))
		for i, o := range *at(s) {
			out[i] = o
		}
		return out
	}
	return put, get
}

func typed[T metav1.Object](gv schema.GroupVersion, resource, fields string, at func(*Snapshot) *[]T) kind {
	put, get := field(at)
	return kind{gv.WithResource(resource), false, fields, put, get}
}

func untyped[T metav1.Object](gv schema.GroupVersion, resource string, at func(*Snapshot) *[]T) kind {
	put, get := field(at)
	return kind{gv.WithResource(resource), true, "", put, get}
}

// kinds is the table of all that is watched.
func kinds() []kind {
	core, discovery := corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion
	networking := schema.GroupVersion{Group: networkingGroup, Version: "v1"}
	security := schema.GroupVersion{Group: securityGroup, Version: "v1"}
	authentication := schema.GroupVersion{Group: authenticationGroup, Version: "v1alpha1"}
	return []kind{
		typed(core, "namespaces", "", func(s *Snapshot) *[]*corev1.Namespace { return &s.Namespaces }),
		typed(core, "services", "", func(s *Snapshot) *[]*corev1.Service { return &s.Services }),
		typed(core, "serviceaccounts", "", func(s *Snapshot) *[]*corev1.ServiceAccount { return &s.ServiceAccounts }),
		typed(core, "secrets", "", func(s *Snapshot) *[]*corev1.Secret { return &s.Secrets }),
		typed(core, "configmaps", "metadata.name=istio", func(s *Snapshot) *[]*corev1.ConfigMap { return &s.ConfigMaps }),
		typed(discovery, "endpointslices", "", func(s *Snapshot) *[]*discoveryv1.EndpointSlice { return &s.EndpointSlices }),
		untyped(networking, "gateways", func(s *Snapshot) *[]*networkingv1.Gateway { return &s.Gateways }),
		untyped(networking, "virtualservices", func(s *Snapshot) *[]*networkingv1.VirtualService { return &s.VirtualServices }),
		untyped(networking, "destinationrules", func(s *Snapshot) *[]*networkingv1.DestinationRule { return &s.DestinationRules }),
		untyped(networking, "serviceentries", func(s *Snapshot) *[]*networkingv1.ServiceEntry { return &s.ServiceEntries }),
		untyped(networking, "workloadentries", func(s *Snapshot) *[]*networkingv1.WorkloadEntry { return &s.WorkloadEntries }),
		untyped(networking, "workloadgroups", func(s *Snapshot) *[]*networkingv1.WorkloadGroup { return &s.WorkloadGroups }),
		untyped(networking, "sidecars", func(s *Snapshot) *[]*networkingv1.Sidecar { return &s.Sidecars }),
		untyped(security, "requestauthentications", func(s *Snapshot) *[]*securityv1.RequestAuthentication { return &s.RequestAuthentications }),
		untyped(security, "authorizationpolicies", func(s *Snapshot) *[]*securityv1.AuthorizationPolicy { return &s.AuthorizationPolicies }),
		untyped(security, "peerauthentications", func(s *Snapshot) *[]*securityv1.PeerAuthentication { return &s.PeerAuthentications }),
		untyped(authentication, "policies", func(s *Snapshot) *[]*authv1alpha1.Policy { return &s.Policies }),
		untyped(authentication, "meshpolicies", func(s *Snapshot) *[]*authv1alpha1.MeshPolicy { return &s.MeshPolicies }),
	}
}
