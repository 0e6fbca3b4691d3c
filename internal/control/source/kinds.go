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
}

const (
	networkingGroup     = "networking.istio.io"
	securityGroup       = "security.istio.io"
	authenticationGroup = "authentication.istio.io"
)

func into[T metav1.Object](field func(*Snapshot) *[]T) func(*Snapshot, []metav1.Object) {
	return func(s *Snapshot, objects []metav1.Object) {
		list := make([]T, 0, len(objects))
		for _, o := range objects {
			switch t := o.(type) {
			case T:
				list = append(list, t)
			case *Undecodable:
				s.Undecodable = append(s.Undecodable, t)
			}
		}
		*field(s) = list
	}
}

// kinds is the table of all that is watched.
func kinds() []kind {
	core := func(r, fields string, put func(*Snapshot, []metav1.Object)) kind {
		return kind{schema.GroupVersionResource{Version: "v1", Resource: r}, false, fields, put}
	}
	networking := func(r string, put func(*Snapshot, []metav1.Object)) kind {
		return kind{schema.GroupVersionResource{Group: networkingGroup, Version: "v1", Resource: r}, true, "", put}
	}
	security := func(r string, put func(*Snapshot, []metav1.Object)) kind {
		return kind{schema.GroupVersionResource{Group: securityGroup, Version: "v1", Resource: r}, true, "", put}
	}
	authentication := func(r string, put func(*Snapshot, []metav1.Object)) kind {
		return kind{schema.GroupVersionResource{Group: authenticationGroup, Version: "v1alpha1", Resource: r}, true, "", put}
	}
	return []kind{
		core("namespaces", "", into(func(s *Snapshot) *[]*corev1.Namespace { return &s.Namespaces })),
		core("services", "", into(func(s *Snapshot) *[]*corev1.Service { return &s.Services })),
		core("serviceaccounts", "", into(func(s *Snapshot) *[]*corev1.ServiceAccount { return &s.ServiceAccounts })),
		core("secrets", "", into(func(s *Snapshot) *[]*corev1.Secret { return &s.Secrets })),
		core("configmaps", "metadata.name=istio", into(func(s *Snapshot) *[]*corev1.ConfigMap { return &s.ConfigMaps })),
		{schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}, false, "",
			into(func(s *Snapshot) *[]*discoveryv1.EndpointSlice { return &s.EndpointSlices })},
		networking("gateways", into(func(s *Snapshot) *[]*networkingv1.Gateway { return &s.Gateways })),
		networking("virtualservices", into(func(s *Snapshot) *[]*networkingv1.VirtualService { return &s.VirtualServices })),
		networking("destinationrules", into(func(s *Snapshot) *[]*networkingv1.DestinationRule { return &s.DestinationRules })),
		networking("serviceentries", into(func(s *Snapshot) *[]*networkingv1.ServiceEntry { return &s.ServiceEntries })),
		networking("workloadentries", into(func(s *Snapshot) *[]*networkingv1.WorkloadEntry { return &s.WorkloadEntries })),
		networking("workloadgroups", into(func(s *Snapshot) *[]*networkingv1.WorkloadGroup { return &s.WorkloadGroups })),
		networking("sidecars", into(func(s *Snapshot) *[]*networkingv1.Sidecar { return &s.Sidecars })),
		security("requestauthentications", into(func(s *Snapshot) *[]*securityv1.RequestAuthentication { return &s.RequestAuthentications })),
		security("authorizationpolicies", into(func(s *Snapshot) *[]*securityv1.AuthorizationPolicy { return &s.AuthorizationPolicies })),
		security("peerauthentications", into(func(s *Snapshot) *[]*securityv1.PeerAuthentication { return &s.PeerAuthentications })),
		authentication("policies", into(func(s *Snapshot) *[]*authv1alpha1.Policy { return &s.Policies })),
		authentication("meshpolicies", into(func(s *Snapshot) *[]*authv1alpha1.MeshPolicy { return &s.MeshPolicies })),
	}
}
