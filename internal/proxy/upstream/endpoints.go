package upstream

import (
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// socketMatch selects the transport socket of endpoints by their metadata.
type socketMatch struct {
	fields map[string]*structpb.Value // all must be equal; none matches all
	socket *tls.Upstream
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
	endpoints []endpoint
	targets   []dnsTarget
}

type endpoint struct {
	key      hostKey
	priority uint32
	weight   uint32
	health   corev3.HealthStatus
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
	old := c.Hosts()
	byKey := make(map[hostKey]*Host, len(old))
	for _, h := range old {
		byKey[h.key] = h
	}
	all := make([]*Host, 0, len(a.endpoints))
	for _, e := range a.endpoints {
		h := byKey[e.key]
		if h == nil {
			h = c.host(nil, e.key)
			byKey[e.key] = h
		}
		all = append(all, h)
	}
	c.setHosts(all, choose(a.endpoints, all))
}

// choose gives the hosts of the first priority that has a healthy one, degraded
// ones only if there is no other. A host of weight n stands n times.
func choose(es []endpoint, hosts []*Host) []*Host {
	order := make([]int, len(es))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(es[a].priority) - int(es[b].priority) })
	for _, degraded := range []bool{false, true} {
		var picked []int
		for _, i := range order {
			if !usable(es[i].health, degraded) {
				continue
			}
			if len(picked) > 0 && es[picked[0]].priority != es[i].priority {
				break
			}
			picked = append(picked, i)
		}
		if len(picked) > 0 {
			return weigh(es, hosts, picked)
		}
	}
	return nil
}

func usable(s corev3.HealthStatus, degraded bool) bool {
	switch s {
	case corev3.HealthStatus_UNKNOWN, corev3.HealthStatus_HEALTHY:
		return true
	case corev3.HealthStatus_DEGRADED:
		return degraded
	}
	return false
}

// maxSchedule bounds the length of a weighted schedule.
const maxSchedule = 4096

func weigh(es []endpoint, hosts []*Host, picked []int) []*Host {
	divisor, total := uint32(0), uint64(0)
	for _, i := range picked {
		divisor = gcd(es[i].weight, divisor)
		total += uint64(es[i].weight)
	}
	scale := 1.0
	if n := total / uint64(divisor); n > maxSchedule {
		scale = float64(maxSchedule) / float64(n)
	}
	left := make([]int, len(picked))
	most := 0
	for k, i := range picked {
		left[k] = max(int(float64(es[i].weight/divisor)*scale), 1)
		most = max(most, left[k])
	}
	var out []*Host
	for round := range most { // one of each in turn, so that a heavy host does not come in a row
		for k, i := range picked {
			if left[k]*(round+1)/most > left[k]*round/most {
				out = append(out, hosts[i])
			}
		}
	}
	return out
}

func gcd(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
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
	a := new(assignment)
	for i, l := range m.GetEndpoints() {
		if err := c.locality(a, l, names); err != nil {
			return nil, strict.AtIndex("endpoints", i, err)
		}
	}
	return a, nil
}

func (c *Cluster) locality(a *assignment, l *endpointv3.LocalityLbEndpoints, names bool) error {
	if err := strict.Only(l, "locality", "lb_endpoints", "load_balancing_weight", "priority", "metadata"); err != nil {
		return err
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
	if err := strict.Only(e.GetEndpoint(), "address", "hostname"); err != nil {
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
	k := hostKey{name: e.GetEndpoint().GetHostname(), socket: c.matchSocket(e.GetMetadata(), l.GetMetadata())}
	ip, err := netip.ParseAddr(s.GetAddress())
	switch {
	case err == nil:
		k.addr = netip.AddrPortFrom(ip, uint16(s.GetPortValue()))
	case names && s.GetAddress() != "":
		if k.name == "" {
			k.name = s.GetAddress()
		}
		a.targets = append(a.targets, dnsTarget{name: s.GetAddress(), port: uint16(s.GetPortValue()), key: k, text: s.GetAddress()})
		return nil
	default:
		return strict.Errorf("endpoint.address.socket_address.address", "not an IP address")
	}
	if names {
		a.targets = append(a.targets, dnsTarget{name: s.GetAddress(), port: uint16(s.GetPortValue()), key: k, text: s.GetAddress()})
	}
	w := uint32(1)
	if e.GetLoadBalancingWeight() != nil {
		if w = e.GetLoadBalancingWeight().GetValue(); w == 0 {
			return strict.Errorf("load_balancing_weight", "must be at least 1")
		}
	}
	a.endpoints = append(a.endpoints, endpoint{key: k, priority: l.GetPriority(), weight: w, health: e.GetHealthStatus()})
	return nil
}
