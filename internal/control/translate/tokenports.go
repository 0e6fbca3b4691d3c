package translate

import "github.com/usher-mesh/usher/internal/mesh"

// warnOfPorts warns of objects that ask for tokens at ports that are not HTTP: there
// are none there. A Policy that wants one closes the port, a RequestAuthentication
// has no effect.
func (p *pass) warnOfPorts() {
	type place struct {
		ref     mesh.Ref
		service string
		port    string
	}
	seen := map[place]bool{}
	for _, o := range p.objects {
		for _, sp := range o.Spec.Ports {
			if mesh.IsHTTP(protocol(sp.Name, sp.AppProtocol)) {
				continue
			}
			for _, e := range o.workloads {
				number, ok := workloadPort(e.workload.Ports, o.Service, sp.Name, uint16(sp.Port))
				if !ok {
					continue
				}
				for _, ref := range tokenRefs(e.workload.Security, number) {
					at := place{ref, o.Namespace + "/" + o.Name, sp.Name}
					if seen[at] {
						continue
					}
					seen[at] = true
					p.found.warn(ref, "port %q (%d) of service %s is not HTTP: no token can be shown there, and a Policy that wants one closes it; a name that begins with http- makes it HTTP",
						sp.Name, sp.Port, at.service)
				}
			}
		}
	}
}

// tokenRefs are the objects that ask for tokens at a port.
func tokenRefs(s *mesh.Security, port uint16) []mesh.Ref {
	var out []mesh.Ref
	for _, r := range s.RequestRules {
		out = append(out, r.Ref)
	}
	if o := s.OriginFor(port); o != nil {
		out = append(out, o.Ref)
	}
	return out
}
