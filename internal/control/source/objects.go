package source

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// plurals maps kinds to the resources that are watched.
var plurals = map[string]string{
	"Namespace": "namespaces", "Service": "services", "ServiceAccount": "serviceaccounts", "Secret": "secrets",
	"ConfigMap": "configmaps", "EndpointSlice": "endpointslices", "Gateway": "gateways",
	"VirtualService": "virtualservices", "DestinationRule": "destinationrules", "ServiceEntry": "serviceentries",
	"WorkloadEntry": "workloadentries", "WorkloadGroup": "workloadgroups", "Sidecar": "sidecars",
	"RequestAuthentication": "requestauthentications", "AuthorizationPolicy": "authorizationpolicies",
	"PeerAuthentication": "peerauthentications", "Policy": "policies", "MeshPolicy": "meshpolicies",
}

// FromObjects makes a snapshot of the given objects, decoded as those of the API
// server are. A kind that is not watched is an error.
func FromObjects(generation uint64, objects []*unstructured.Unstructured) (*Snapshot, error) {
	decode := decoders()
	collections := map[string]*collection{}
	for _, u := range objects {
		resource, ok := plurals[u.GetKind()]
		if !ok {
			return nil, fmt.Errorf("source: kind %q is not read", u.GetKind())
		}
		var obj any
		var err error
		if d, ok := decode[resource]; ok {
			obj, err = custom(d)(u.DeepCopy())
		} else {
			typed := example(kindOf(resource))
			if err = runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed); err == nil {
				obj, err = core(typed)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("source: %s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
		}
		if collections[resource] == nil {
			collections[resource] = newCollection(func(_, _ metav1.Object) bool { return false }, func() {})
		}
		collections[resource].set(obj)
	}
	s := &Snapshot{Generation: generation}
	for _, k := range kinds() {
		if c := collections[k.resource.Resource]; c != nil {
			k.put(s, c.list())
		}
	}
	return s, nil
}

func kindOf(resource string) kind {
	for _, k := range kinds() {
		if k.resource.Resource == resource {
			return k
		}
	}
	return kind{}
}
