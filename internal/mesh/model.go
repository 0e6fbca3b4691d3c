package mesh

import (
	"net/netip"
	"sort"
)

// Model is the whole mesh at one moment. Parts that did not change between two
// models are the same pointers.
type Model struct {
	Generation      uint64 // of the snapshot that it was made from
	Settings        *Settings
	Services        []*Service        // sorted by host name
	Workloads       []*Workload       // sorted by namespace and name
	VirtualServices []*VirtualService // sorted by age, then namespace and name
	Gateways        []*GatewayConfig  // sorted by namespace and name
	KeySets         []KeySet          // sorted by URI
	Secrets         []*Secret         // sorted by namespace and name
}

// Settings are the mesh's own.
type Settings struct {
	TrustDomain   string
	RootNamespace string
	// JWKSRoots are trusted, beside the system's roots, where keys of issuers are
	// fetched from. PEM.
	JWKSRoots []byte
	// OutboundAny: hosts that the mesh does not know can be called.
	OutboundAny bool
}

// Secret is a certificate for a gateway. Only a gateway whose service account
// is in the Secret's namespace may have it.
type Secret struct {
	Ref             Ref
	Namespace, Name string
	Cert, CA        []byte // PEM
	Key             SecretBytes
}

// SecretBytes never shows what it holds.
type SecretBytes []byte

// String hides the value, also from fmt's verbs.
func (SecretBytes) String() string { return "[redacted]" }

// GoString hides the value from %#v.
func (SecretBytes) GoString() string { return "[redacted]" }

// MarshalJSON hides the value from dumps.
func (SecretBytes) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Workload finds a workload, or gives nil.
func (m *Model) Workload(namespace, name string) *Workload {
	i := sort.Search(len(m.Workloads), func(i int) bool {
		w := m.Workloads[i]
		return w.Namespace > namespace || w.Namespace == namespace && w.Name >= name
	})
	if i < len(m.Workloads) && m.Workloads[i].Namespace == namespace && m.Workloads[i].Name == name {
		return m.Workloads[i]
	}
	return nil
}

// Service finds a service by its full host name, or gives nil.
func (m *Model) Service(hostname string) *Service {
	i := sort.Search(len(m.Services), func(i int) bool { return m.Services[i].Hostname >= hostname })
	if i < len(m.Services) && m.Services[i].Hostname == hostname {
		return m.Services[i]
	}
	return nil
}

// Gateway finds a gateway object, or gives nil.
func (m *Model) Gateway(namespace, name string) *GatewayConfig {
	for _, g := range m.Gateways {
		if g.Namespace == namespace && g.Name == name {
			return g
		}
	}
	return nil
}

// Port finds a service's port by number; -1 if there is none.
func (d *Definition) Port(n uint16) int {
	for i := range d.Ports {
		if d.Ports[i].Port == n {
			return i
		}
	}
	return -1
}

// Addresses are those of the endpoints of a port, given by its index.
func (s *Service) Addresses(port int) []netip.AddrPort {
	out := make([]netip.AddrPort, len(s.Endpoints[port]))
	for i, e := range s.Endpoints[port] {
		out[i] = e.Address
	}
	return out
}
