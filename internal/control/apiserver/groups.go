package apiserver

import (
	"slices"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/tools/cache"
)

// groupList keeps the groups of custom resources in the unaggregated /apis, which
// in Kubernetes is the aggregator's work.
type groupList struct {
	add    func(metav1.APIGroup)
	remove func(group string)

	mu   sync.Mutex
	crds map[string]*apiextensionsv1.CustomResourceDefinition // established ones
}

// listGroups makes the server's /apis follow its CRDs.
func listGroups(s *extapiserver.CustomResourceDefinitions) error {
	m := s.GenericAPIServer.DiscoveryGroupManager
	g := &groupList{add: m.AddGroup, remove: m.RemoveGroup, crds: map[string]*apiextensionsv1.CustomResourceDefinition{}}
	_, err := s.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { g.set(o, true) },
		UpdateFunc: func(_, o any) { g.set(o, true) },
		DeleteFunc: func(o any) { g.set(o, false) },
	})
	return err
}

func (g *groupList) set(o any, there bool) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	crd, ok := o.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if there && isEstablished(crd) {
		g.crds[crd.Name] = crd
	} else {
		delete(g.crds, crd.Name)
	}
	g.publish(crd.Spec.Group)
}

func (g *groupList) publish(group string) {
	var versions []string
	for _, crd := range g.crds {
		for _, v := range crd.Spec.Versions {
			if crd.Spec.Group == group && v.Served && !slices.Contains(versions, v.Name) {
				versions = append(versions, v.Name)
			}
		}
	}
	if len(versions) == 0 {
		g.remove(group)
		return
	}
	slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	out := metav1.APIGroup{Name: group}
	for _, v := range versions {
		out.Versions = append(out.Versions, metav1.GroupVersionForDiscovery{GroupVersion: group + "/" + v, Version: v})
	}
	out.PreferredVersion = out.Versions[0]
	g.add(out)
}
