package translate

import (
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// selection is which workloads a security object is for.
type selection struct {
	namespace string // "" for all (an object of the root namespace)
	labels    map[string]string
	services  []string // named by targetRefs; nil without them
	nothing   bool     // its targetRefs name nothing that there is
}

// selectionOf reads selector and targetRefs. An object of the root namespace
// with neither is for the whole mesh.
func selectionOf(namespace string, sel *typev1beta1.WorkloadSelector, ref *typev1beta1.PolicyTargetReference, refs []*typev1beta1.PolicyTargetReference, v *verdict) selection {
	s := selection{namespace: namespace, labels: sel.GetMatchLabels()}
	if namespace == rootNamespace {
		s.namespace = ""
	}
	if ref != nil {
		refs = append([]*typev1beta1.PolicyTargetReference{ref}, refs...)
	}
	for _, r := range refs {
		if r.Group == "" && r.Kind == "Service" && (r.Namespace == "" || r.Namespace == namespace) {
			s.services = append(s.services, r.Name)
			continue
		}
		v.refuse(reasonUnsupported, "spec.targetRefs: a reference to %s %q has no effect here; only Services of the same namespace can be named", r.Kind, r.Name)
	}
	if len(refs) > 0 {
		s.namespace, s.nothing = namespace, len(s.services) == 0
	}
	return s
}

// selects tells whether the workload, which these services select, is meant.
func (s *selection) selects(e *entry, services []*serviceObject) bool {
	if s.nothing || s.namespace != "" && s.namespace != e.Namespace || !mesh.Selects(s.labels, e.labels) {
		return false
	}
	if s.services == nil {
		return true
	}
	for _, o := range services {
		for _, name := range s.services {
			if o.Name == name {
				return true
			}
		}
	}
	return false
}
