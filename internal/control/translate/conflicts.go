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
	known := map[string]*serviceObject{}
	for _, o := range p.objects {
		known[o.Namespace+"/"+o.Name] = o
	}
	for _, key := range sortedKeys(p.guards.byService) {
		l := p.guards.byService[key]
		sort.SliceStable(l, func(i, j int) bool { return older(l[i].object, l[j].object) })
		taken := map[string]mesh.Ref{}
		for _, pol := range l {
			if known[key] == nil {
				p.found.warn(pol.ref, "spec.targets: there is no service %q", key)
				continue
			}
			for _, t := range pol.spec.Targets {
				if pol.ref.Namespace+"/"+t.Name != key {
					continue
				}
				p.warnPorts(pol, t, known[key])
				for _, port := range portTexts(t, known[key]) {
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

// portTexts names the ports of a target as the service numbers them, so that two
// names of one port are the same; "" is the service as a whole.
func portTexts(t authv1alpha1.TargetSelector, s *serviceObject) []string {
	if len(t.Ports) == 0 {
		return []string{""}
	}
	var out []string
	for _, sp := range targetPorts(t, s) {
		out = append(out, fmt.Sprintf(":%d", sp.Port))
	}
	return out
}

// warnPorts reports the ports of a target that its service lacks.
func (p *pass) warnPorts(pol *policy, t authv1alpha1.TargetSelector, s *serviceObject) {
	for _, sel := range t.Ports {
		one := authv1alpha1.TargetSelector{Ports: []authv1alpha1.PortSelector{sel}}
		if len(targetPorts(one, s)) > 0 {
			continue
		}
		name := sel.Name
		if sel.Number != 0 {
			name = fmt.Sprint(sel.Number)
		}
		p.found.warn(pol.ref, "spec.targets: the service %q has no port %s", t.Name, name)
	}
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
