package mesh

import "net/netip"

// Service is a name that can be called, with what stands behind it.
type Service struct {
	*Definition
	// Endpoints has a list for each of Ports, sorted by address and port.
	Endpoints [][]Endpoint
	// Accounts are the SPIFFE IDs that the endpoints with mTLS may have, sorted.
	Accounts []string
}

// Definition is what a service is, whatever endpoints it has: it stays the same
// pointer while those come and go.
type Definition struct {
	Ref             Ref
	Namespace, Name string
	// Hostname is the full name, such as "preference.tutorial.svc.cluster.local".
	Hostname string
	// Short tells that the name resolves as Kubernetes' do ("preference",
	// "preference.tutorial", ...).
	Short bool
	Ports []ServicePort
	// Subsets are those of the DestinationRule in force, sorted by name.
	Subsets []Subset
	// TLS is what the DestinationRule says of the way to the endpoints.
	TLS ClientTLS
	// Traffic is what it says of load and failures.
	Traffic Traffic
	// Origins are the objects that made it: the Service, its DestinationRule.
	Origins []Ref
}

// ServicePort is one port of a service.
type ServicePort struct {
	Name     string
	Protocol string // http, http2, grpc, tcp, tls; "" if nothing says
	Port     uint16
}

// IsHTTP tells whether ports of a protocol carry requests. What nothing is said
// of does not count as HTTP.
func IsHTTP(protocol string) bool {
	return protocol == "http" || protocol == "http2" || protocol == "grpc"
}

// Endpoint is one address that serves a service's port.
type Endpoint struct {
	Address  netip.AddrPort
	Workload Ref               // the WorkloadEntry; zero if another object gave it
	Labels   map[string]string // shared, never changed
	Weight   uint32            // 0 counts as 1
	// MTLS tells that its proxy takes the mesh's mTLS on this port.
	MTLS bool
}

// Subset is a named part of a service's endpoints.
type Subset struct {
	Name   string
	Labels map[string]string
	TLS    ClientTLS
	// Traffic has taken over what the subset leaves to the rule.
	Traffic Traffic
}

// Toward gives the policy of clients for a port of the service, or of its subset if
// that is not "".
func (d *Definition) Toward(subset string, port uint16) TrafficPolicy {
	if subset == "" {
		return d.Traffic.For(port)
	}
	for i := range d.Subsets {
		if d.Subsets[i].Name == subset {
			return d.Subsets[i].Traffic.For(port)
		}
	}
	return TrafficPolicy{}
}

// Selects tells whether an endpoint with these labels is in the subset.
func (s *Subset) Selects(labels map[string]string) bool { return Selects(s.Labels, labels) }

// Selects tells whether labels has every pair of selector.
func Selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// ClientTLS is how a client's proxy secures its way to the endpoints.
type ClientTLS struct {
	Mode ClientMode
	// Ports are modes of single ports of the service, in place of Mode.
	Ports map[uint16]ClientMode
}

// For gives the mode of a port of the service.
func (t ClientTLS) For(port uint16) ClientMode {
	if m, ok := t.Ports[port]; ok {
		return m
	}
	return t.Mode
}

// ClientMode is one way to an endpoint.
type ClientMode uint8

// The ways to an endpoint.
const (
	// AutoMTLS: the mesh's mTLS where the endpoint takes it, else clear.
	AutoMTLS ClientMode = iota
	// NoTLS: always clear.
	NoTLS
	// MeshMTLS: always the mesh's mTLS.
	MeshMTLS
	// NoWay: what the rule asks for is not supported, so nothing is sent.
	NoWay
)
