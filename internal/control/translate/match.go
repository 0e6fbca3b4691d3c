package translate

import (
	"sort"

	"github.com/usher-mesh/usher/internal/mesh"
)

// match is every object that is for one workload.
type match struct {
	requests        []*requestAuthentication
	authorizations  []*authorization
	peers           []*peerAuthentication // oldest first
	denied          []mesh.Denial
	targets         []target
	namespace, mesh *policy
}

// target is a service of the workload with the Policies that name it, oldest
// first.
type target struct {
	service  *serviceObject
	policies []*policy
}

// security makes the model's part of it.
func (m *match) security() *mesh.Security {
	s := &mesh.Security{Denied: m.denied}
	sort.Slice(s.Denied, func(i, j int) bool { return lessRef(s.Denied[i].Ref, s.Denied[j].Ref) })
	for _, r := range m.requests {
		s.RequestRules = append(s.RequestRules, r.rules...)
	}
	for _, a := range m.authorizations {
		s.Authorization = append(s.Authorization, a.policy)
	}
	m.modes(s)
	m.winners(s)
	return s
}

// modes applies the PeerAuthentications: the oldest of the narrowest scope that
// says something; what says nothing inherits.
func (m *match) modes(s *mesh.Security) {
	var first [3]*peerAuthentication
	for _, p := range m.peers {
		if i := p.scope(); first[i] == nil {
			first[i] = p
		}
	}
	for _, p := range m.peers {
		s.Peers = append(s.Peers, p.ref)
	}
	s.MTLS = mesh.Permissive
	for i := len(first) - 1; i >= 0; i-- {
		if first[i] != nil && first[i].mode != 0 {
			s.MTLS = first[i].mode
		}
	}
	if first[0] != nil {
		s.PortMTLS = first[0].ports
	}
}

// winners finds the Policy that wins at each port: one for the port of a
// service, else for the service, else for the namespace, else for the mesh; of
// two of the same rank the older.
func (m *match) winners(s *mesh.Security) {
	broad := m.mesh
	if m.namespace != nil {
		broad = m.namespace
	}
	ports := map[string]*policy{}   // named by a target
	general := map[string]*policy{} // by the port's name; "" for any
	put := func(to map[string]*policy, port string, pol *policy) {
		if old := to[port]; old == nil || older(pol.object, old.object) {
			to[port] = pol
		}
	}
	for _, t := range m.targets {
		for _, pol := range t.policies {
			for _, sel := range pol.spec.Targets {
				if sel.Name != t.service.Name {
					continue
				}
				names, all := portNames(sel, t.service)
				for _, n := range names {
					put(ports, n, pol)
				}
				if !all {
					continue
				}
				put(general, "", pol)
				for _, sp := range t.service.Spec.Ports {
					put(general, sp.Name, pol)
				}
			}
		}
	}
	win := func(port string, pol *policy) {
		if pol == nil {
			return
		}
		if s.Origin == nil {
			s.Origin, s.PeerPolicy = map[string]*mesh.OriginPolicy{}, map[string]mesh.PeerPolicy{}
		}
		s.Origin[port] = pol.origin
		if pol.peer != 0 {
			s.PeerPolicy[port] = mesh.PeerPolicy{Mode: pol.peer, Ref: pol.ref}
		} else {
			s.PeerPolicy[port] = mesh.PeerPolicy{Ref: pol.ref}
		}
	}
	if broad != nil && general[""] == nil {
		win("", broad)
	}
	for port, pol := range general {
		win(port, pol)
	}
	for port, pol := range ports {
		win(port, pol)
	}
}
