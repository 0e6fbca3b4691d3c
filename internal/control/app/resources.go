package app

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/usher-mesh/usher/internal/control/api"
)

// customResources are those whose status is written, in the version that is
// stored.
func customResources() map[schema.GroupKind]schema.GroupVersionResource {
	out := map[schema.GroupKind]schema.GroupVersionResource{}
	for _, crd := range api.CRDs() {
		for _, v := range crd.Spec.Versions {
			if v.Storage {
				out[schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}] = schema.GroupVersionResource{
					Group: crd.Spec.Group, Version: v.Name, Resource: crd.Spec.Names.Plural,
				}
			}
		}
	}
	return out
}
