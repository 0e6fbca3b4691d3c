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
	ports           map[string]uint16 // the workload's, by name
	targets         []target
	namespace, mesh *policy
}

// target is a service of the workload with the Policies that name it, if any,
// oldest first.
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

// firstPeers are the oldest PeerAuthentication of each scope.
func (m *match) firstPeers() (first [scopes]*peerAuthentication) {
	for _, p := range m.peers {
		if i := p.scope(); first[i] == nil {
			first[i] = p
		}
	}
	return first
}

// modes applies the PeerAuthentications: the oldest of the narrowest scope that
// says something; what says nothing inherits.
func (m *match) modes(s *mesh.Security) {
	first := m.firstPeers()
	for _, p := range first {
		if p != nil {
			s.Peers = append(s.Peers, p.ref)
		}
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
