package translate

import (
	"fmt"
	"sort"

	authv1alpha1 "github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
	"github.com/usher-mesh/usher/internal/mesh"
)

// orderPolicies puts the Policies of each service in the order of their age, and
// reports those that never win and targets that there are not.
func (p *pass) orderPolicies() {
	known := map[string]bool{}
	for _, o := range p.objects {
		known[o.Namespace+"/"+o.Name] = true
	}
	for _, key := range sortedKeys(p.guards.byService) {
		l := p.guards.byService[key]
		sort.SliceStable(l, func(i, j int) bool { return older(l[i].object, l[j].object) })
		taken := map[string]mesh.Ref{}
		for _, pol := range l {
			if !known[key] {
				p.found.warn(pol.ref, "spec.targets: there is no service %q", key)
			}
			for _, t := range pol.spec.Targets {
				if pol.ref.Namespace+"/"+t.Name != key {
					continue
				}
				for _, port := range portTexts(t.Ports) {
					if by, ok := taken[port]; ok && by != pol.ref {
						p.found.refuse(pol.ref, reasonConflicted, "spec.targets: the older Policy %q is for the same service %s%s", by.Name, t.Name, port)
						continue
					}
					taken[port] = pol.ref
				}
			}
		}
	}
}

func portTexts(ports []authv1alpha1.PortSelector) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	out := make([]string, len(ports))
	for i, s := range ports {
		out[i] = ":" + s.Name
		if s.Number != 0 {
			out[i] = fmt.Sprintf(":%d", s.Number)
		}
	}
	return out
}

// peerConflicts reports PeerAuthentications of the same scope and selector: the
// oldest wins.
func (p *pass) peerConflicts() {
	taken := map[string]mesh.Ref{}
	for _, a := range p.guards.peers {
		key := fmt.Sprint(a.ref.Namespace, a.labels)
		if by, ok := taken[key]; ok {
			p.found.refuse(a.ref, reasonConflicted, "spec.selector: the older PeerAuthentication %q is for the same workloads", by.Name)
			continue
		}
		taken[key] = a.ref
	}
}
