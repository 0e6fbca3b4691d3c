package mesh

import "net/netip"

// Workload is one instance of the mesh: a WorkloadEntry with what applies to it.
type Workload struct {
	Ref             Ref
	Namespace, Name string
	Labels          map[string]string
	ServiceAccount  string // "default" if the object names none
	Address         netip.Addr
	Ports           map[string]uint16 // Service port's name -> inbound port
	Weight          uint32
	Sidecar         bool // has a proxy that takes mTLS (label tlsMode)
	Security        *Security
}

// Security is what guards the requests that a workload receives.
type Security struct {
	// RequestRules are the rules of all RequestAuthentications that apply.
	RequestRules []JWTRule
	// Origin gives the Policy form's rule by the number of the inbound port; the
	// entry 0 is for ports without one of their own. A nil rule asks for no token.
	Origin map[uint16]*OriginPolicy
	// MTLS is the mode of ports that PortMTLS does not name by number.
	MTLS     MTLSMode
	PortMTLS map[uint16]MTLSMode
	// PeerPolicy is what the Policy form demands by inbound port (0 for others):
	// the stricter of it and the above holds.
	PeerPolicy map[uint16]PeerPolicy
	// Peers are the PeerAuthentications that apply.
	Peers []Ref
	// Authorization are the AuthorizationPolicies that apply, sorted.
	Authorization []*AuthorizationPolicy
	// Denied are objects that select the workload and could not be translated:
	// while there is one, every request is refused.
	Denied []Denial
}

// Denial is an object that denies because it could not be translated.
type Denial struct {
	Ref    Ref
	Reason string
}

// PeerPolicy is the peers part of a Policy, or zero where no Policy is in force.
type PeerPolicy struct {
	Mode MTLSMode
	Ref  Ref
}

// Mode gives the mTLS mode of an inbound port.
func (s *Security) Mode(port uint16) MTLSMode {
	m := s.MTLS
	if p, ok := s.PortMTLS[port]; ok {
		m = p
	}
	pp, ok := s.PeerPolicy[port]
	if !ok {
		pp = s.PeerPolicy[0]
	}
	if pp.Mode > m {
		m = pp.Mode
	}
	return m
}

// OriginFor gives the Policy form's rule for an inbound port, or nil.
func (s *Security) OriginFor(port uint16) *OriginPolicy {
	if p, ok := s.Origin[port]; ok {
		return p
	}
	return s.Origin[0]
}

// MTLSMode says which connections a workload takes. A greater one is stricter.
type MTLSMode uint8

// The modes.
const (
	Disable MTLSMode = iota + 1
	Permissive
	Strict
)
