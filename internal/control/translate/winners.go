package translate

import "github.com/usher-mesh/usher/internal/mesh"

// Ranks of a claim on a port, the stronger first.
const (
	byPort    = iota // the target names the port
	byService        // the target names the service alone
	ranks
)

// claims are the Policies that name services of a workload, the oldest of each
// rank.
type claims struct {
	ports map[uint16]*[ranks]*policy // by inbound port: every port of a service is here
	whole *policy                    // names a whole service
	lost  *policy                    // names a port that is not found at the workload
}

func (m *match) claims() *claims {
	c := &claims{ports: map[uint16]*[ranks]*policy{}}
	for _, t := range m.targets {
		for _, sp := range streamPorts(t.service.Service) {
			if n, ok := workloadPort(m.ports, t.service.Service, sp.Name, uint16(sp.Port)); ok && c.ports[n] == nil {
				c.ports[n] = new([ranks]*policy)
			}
		}
		for _, pol := range t.policies {
			m.claimed(t, pol, func(port uint16, rank int, found bool) {
				if found {
					oldest(&c.ports[port][rank], pol)
				} else {
					oldest(&c.lost, pol)
				}
				if rank == byService {
					oldest(&c.whole, pol)
				}
			})
		}
	}
	return c
}

// claimed calls each for every port of the target that the Policy is for. One
// that is not found at the workload, and those of a headless service that does
// not say its ports, have no number.
func (m *match) claimed(t target, pol *policy, each func(port uint16, rank int, found bool)) {
	for _, sel := range pol.spec.Targets {
		if sel.Name != t.service.Name {
			continue
		}
		rank := byPort
		if len(sel.Ports) == 0 {
			rank = byService
			if len(streamPorts(t.service.Service)) == 0 {
				each(0, rank, false)
			}
		}
		for _, sp := range targetPorts(sel, t.service) {
			n, ok := workloadPort(m.ports, t.service.Service, sp.Name, uint16(sp.Port))
			each(n, rank, ok)
		}
	}
}

func oldest(at **policy, pol *policy) {
	if *at == nil || older(pol.object, (*at).object) {
		*at = pol
	}
}

// winners finds the Policy that wins at each port: one for the port of a
// service, else for the service, else for the namespace, else for the mesh; of
// two of the same rank the older. A Policy whose port is not found at the
// workload stands at every port that no other claims, so that it is in force
// wherever that port may be.
func (m *match) winners(s *mesh.Security) {
	broad := m.mesh
	if m.namespace != nil {
		broad = m.namespace
	}
	c := m.claims()
	if c.lost != nil && (broad == nil || c.lost.origin != nil) {
		broad = c.lost
	}
	win := func(port uint16, pol *policy) {
		if pol == nil {
			s.Origin[port], s.PeerPolicy[port] = nil, mesh.PeerPolicy{}
			return
		}
		s.Origin[port], s.PeerPolicy[port] = pol.origin, mesh.PeerPolicy{Mode: pol.peer, Ref: pol.ref}
	}
	if broad == nil && !c.any() {
		return
	}
	s.Origin, s.PeerPolicy = map[uint16]*mesh.OriginPolicy{}, map[uint16]mesh.PeerPolicy{}
	for n, l := range c.ports {
		switch {
		case l[byPort] != nil:
			win(n, l[byPort])
		case l[byService] != nil:
			win(n, l[byService])
		default:
			win(n, broad)
		}
	}
	// Ports of no service: without a broader Policy, that of a whole service is
	// nearer than none.
	if broad == nil {
		broad = c.whole
	}
	win(0, broad)
}

// any tells whether a Policy claims a port.
func (c *claims) any() bool {
	for _, l := range c.ports {
		if *l != ([ranks]*policy{}) {
			return true
		}
	}
	return c.whole != nil
}
