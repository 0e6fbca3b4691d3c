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

// Reuse replaces objects that are the same as in an older snapshot by the older
// pointers, as Run does. It must be called before anybody else sees s.
func (s *Snapshot) Reuse(old *Snapshot) {
	for _, k := range kinds() {
		before := map[string]metav1.Object{}
		for _, o := range k.get(old) {
			before[o.GetNamespace()+"/"+o.GetName()] = o
		}
		same := sameCore
		if k.custom {
			same = sameCustom
		}
		now := k.get(s)
		for i, o := range now {
			if b := before[o.GetNamespace()+"/"+o.GetName()]; b != nil && same(b, o) {
				now[i] = b
			}
		}
		k.put(s, now)
	}
}
