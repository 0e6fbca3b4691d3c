package upstream

import (
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/upstream/lb"
	"github.com/usher-mesh/usher/internal/proxy/upstream/subset"
)

// socketMatch selects the transport socket of endpoints by their metadata.
type socketMatch struct {
	fields  map[string]*structpb.Value // all must be equal; none matches all
	socket  *tls.Upstream
	proxied *proxied
}

const socketMetadata = "envoy.transport_socket_match"

// matchSocket gives the index of the first match, -1 for the cluster's own.
func (c *Cluster) matchSocket(endpoint, locality *corev3.Metadata) int {
	md := endpoint.GetFilterMetadata()[socketMetadata]
	if md == nil {
		md = locality.GetFilterMetadata()[socketMetadata]
	}
	return slices.IndexFunc(c.matches, func(m socketMatch) bool {
		for k, want := range m.fields {
			if got, ok := md.GetFields()[k]; !ok || !equalValue(got, want) {
				return false
			}
		}
		return true
	})
}

func equalValue(a, b *structpb.Value) bool {
	switch x := a.GetKind().(type) {
	case *structpb.Value_StringValue:
		y, ok := b.GetKind().(*structpb.Value_StringValue)
		return ok && x.StringValue == y.StringValue
	case *structpb.Value_BoolValue:
		y, ok := b.GetKind().(*structpb.Value_BoolValue)
		return ok && x.BoolValue == y.BoolValue
	case *structpb.Value_NumberValue:
		y, ok := b.GetKind().(*structpb.Value_NumberValue)
		return ok && x.NumberValue == y.NumberValue
	}
	return false
}

// assignment is a decoded ClusterLoadAssignment.
type assignment struct {
	endpoints        []endpoint
	overprovisioning uint32 // in percent
}

// priorities tells how many there are, one at least.
func (a *assignment) priorities() uint32 {
	n := uint32(1)
	for i := range a.endpoints {
		n = max(n, a.endpoints[i].priority+1)
	}
	return n
}

type endpoint struct {
	key      hostKey
	dns      string // to be resolved into the key's address; "": no need
	port     uint16
	priority uint32
	weight   uint32
	hashKey  string // what to hash for it; "": the address or hostname
	health   corev3.HealthStatus
	locality locality
	metadata *corev3.Metadata
	// of a cluster that has subsets
	subsets   []string // by subset.Criteria.Key
	isDefault bool
}

// locality is where an endpoint is, and how much load the place takes.
type locality struct {
	name   string
	weight uint32
}

// SetEndpoints replaces the endpoints of the cluster. Connections to those that
// stay are kept; the others are drained. An error changes nothing.
func (c *Cluster) SetEndpoints(m *endpointv3.ClusterLoadAssignment) error {
	a, err := c.decode(m, false)
	if err != nil {
		return err
	}
	c.assign(a)
	return nil
}

func (c *Cluster) assign(a *assignment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byKey := map[hostKey]*Host{}
	for _, h := range c.distinct() {
		byKey[h.key] = h
	}
	all := make([]*Host, 0, len(a.endpoints))
	for _, e := range a.endpoints {
		h := byKey[e.key]
		if h == nil {
			h = c.host(e.key)
			byKey[e.key] = h
		}
		h.flags.clear(pendingRemoval)
		h.metadata.Store(e.metadata)
		all = append(all, h)
	}
	all = c.keep(a, all)
	c.setHosts(a, all)
}

// keep adds endpoints of before that are gone, while their active health checks go well:
// what told of their end may be wrong. The lock is held.
func (c *Cluster) keep(a *assignment, all []*Host) []*Host {
	old := c.hosts.Load()
	if c.checker == nil || c.keepsNone || old == nil {
		return all
	}
	had := make(map[netip.AddrPort]bool, len(all))
	for _, h := range all {
		had[h.Addr] = true
	}
	for i, h := range old.all {
		e := old.assignment.endpoints[i]
		if had[h.Addr] || e.key.unchecked || h.flags.has(failedActive) || e.health == corev3.HealthStatus_UNHEALTHY || e.health == corev3.HealthStatus_TIMEOUT {
			continue
		}
		h.flags.set(pendingRemoval)
		a.endpoints = append(a.endpoints, e)
		all = append(all, h)
	}
	return all
}

// decode checks an assignment. Names instead of addresses are targets for DNS.
func (c *Cluster) decode(m *endpointv3.ClusterLoadAssignment, names bool) (*assignment, error) {
	if err := strict.Only(m, "cluster_name", "endpoints", "policy"); err != nil {
		return nil, err
	}
	if p := m.GetPolicy(); p != nil {
		if err := strict.Only(p, "overprovisioning_factor", "endpoint_stale_after"); err != nil {
			return nil, strict.At("policy", err)
		}
	}
	a := &assignment{overprovisioning: lb.DefaultOverprovisioning}
	if f := m.GetPolicy().GetOverprovisioningFactor(); f != nil {
		if a.overprovisioning = f.GetValue(); a.overprovisioning == 0 {
			return nil, strict.Errorf("policy.overprovisioning_factor", "must be above 0")
		}
	}
	for i, l := range m.GetEndpoints() {
		if err := c.locality(a, l, names); err != nil {
			return nil, strict.AtIndex("endpoints", i, err)
		}
	}
	return a, nil
}

// maxPriority is Envoy's.
const maxPriority = 128

func (c *Cluster) locality(a *assignment, l *endpointv3.LocalityLbEndpoints, names bool) error {
	if err := strict.Only(l, "locality", "lb_endpoints", "load_balancing_weight", "priority", "metadata"); err != nil {
		return err
	}
	if l.GetPriority() > maxPriority {
		return strict.Errorf("priority", "above %d", maxPriority)
	}
	for i, e := range l.GetLbEndpoints() {
		if err := c.endpoint(a, l, e, names); err != nil {
			return strict.AtIndex("lb_endpoints", i, err)
		}
	}
	return nil
}

func (c *Cluster) endpoint(a *assignment, l *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint, names bool) error {
	if err := strict.Only(e, "endpoint", "health_status", "metadata", "load_balancing_weight"); err != nil {
		return err
	}
	if err := strict.Only(e.GetEndpoint(), "address", "hostname", "health_check_config"); err != nil {
		return strict.At("endpoint", err)
	}
	s := e.GetEndpoint().GetAddress().GetSocketAddress()
	if s == nil {
		return strict.Errorf("endpoint.address", "not a socket_address: %w", strict.ErrUnsupported)
	}
	if err := strict.Only(s, "protocol", "address", "port_value", "ipv4_compat"); err != nil {
		return strict.At("endpoint.address.socket_address", err)
	}
	if s.GetPortValue() == 0 || s.GetPortValue() > 65535 {
		return strict.Errorf("endpoint.address.socket_address.port_value", "%d is not a port", s.GetPortValue())
	}
	w := uint32(1)
	if e.GetLoadBalancingWeight() != nil {
		if w = e.GetLoadBalancingWeight().GetValue(); w == 0 {
			return strict.Errorf("load_balancing_weight", "must be at least 1")
		}
	}
	out := endpoint{
		key:      hostKey{name: e.GetEndpoint().GetHostname(), socket: c.matchSocket(e.GetMetadata(), l.GetMetadata())},
		port:     uint16(s.GetPortValue()),
		metadata: e.GetMetadata(),
		priority: l.GetPriority(), weight: w, health: e.GetHealthStatus(),
		hashKey:  e.GetMetadata().GetFilterMetadata()["envoy.lb"].GetFields()["hash_key"].GetStringValue(),
		locality: locality{place(l.GetLocality()), l.GetLoadBalancingWeight().GetValue()},
	}
	var err error
	if out.key.tlvs, err = hostTLVs(e.GetMetadata()); err != nil {
		return err
	}
	switch ip, err := netip.ParseAddr(s.GetAddress()); {
	case err == nil:
		out.key.addr = netip.AddrPortFrom(ip, out.port)
		if names && out.key.name == "" {
			out.key.name = s.GetAddress()
		}
	case names && s.GetAddress() != "":
		out.dns = s.GetAddress()
	default:
		return strict.Errorf("endpoint.address.socket_address.address", "not an IP address")
	}
	if names && out.key.name == "" {
		out.key.name = s.GetAddress() // also one that is an address, as in Envoy
	}
	if t := c.subsetting; t != nil {
		md := e.GetMetadata().GetFilterMetadata()[subset.Metadata]
		if out.subsets, err = t.keys(md); err != nil {
			return err
		}
		out.isDefault = t.isDefault(md)
	}
	if err := out.key.checks(e.GetEndpoint().GetHealthCheckConfig(), names); err != nil {
		return strict.At("endpoint.health_check_config", err)
	}
	a.endpoints = append(a.endpoints, out)
	return nil
}

// checks reads where active health checks of an endpoint go.
func (k *hostKey) checks(m *endpointv3.Endpoint_HealthCheckConfig, names bool) error {
	if err := strict.Only(m, "port_value", "hostname", "address", "disable_active_health_check"); err != nil {
		return err
	}
	k.unchecked, k.checkName = m.GetDisableActiveHealthCheck(), m.GetHostname()
	addr, port := k.addr.Addr(), m.GetPortValue()
	if port > 65535 {
		return strict.Errorf("port_value", "%d is not a port", port)
	}
	if m.GetAddress() != nil {
		s := m.GetAddress().GetSocketAddress()
		if err := strict.Only(s, "protocol", "address", "port_value", "ipv4_compat"); err != nil {
			return strict.At("address.socket_address", err)
		}
		ip, err := netip.ParseAddr(s.GetAddress())
		if err != nil {
			return strict.Errorf("address.socket_address.address", "not an IP address")
		}
		if addr = ip; port == 0 {
			port = s.GetPortValue()
		}
		if port == 0 || port > 65535 {
			return strict.Errorf("address.socket_address.port_value", "%d is not a port", port)
		}
	} else if port != 0 && names && !addr.IsValid() {
		return strict.Errorf("port_value", "of a name: %w", strict.ErrUnsupported)
	}
	if port != 0 {
		k.check = netip.AddrPortFrom(addr, uint16(port))
	}
	return nil
}

func place(l *corev3.Locality) string {
	return l.GetRegion() + "\x00" + l.GetZone() + "\x00" + l.GetSubZone()
}
