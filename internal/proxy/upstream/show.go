package upstream

import (
	"cmp"
	"slices"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// StatName is what the cluster's counters are named by.
func (c *Cluster) StatName() string { return c.stat }

// Show tells how the cluster and its endpoints are, as Envoy's /clusters does.
func (c *Cluster) Show() *adminv3.ClusterStatus {
	s := &adminv3.ClusterStatus{Name: c.Name, ObservabilityName: c.stat, EdsServiceName: c.EDS.Name, CircuitBreakers: c.thresholds()}
	of := c.Status()
	s.SuccessRateEjectionThreshold, s.LocalOriginSuccessRateEjectionThreshold = share(of.Ejects), share(of.LocalEjects)
	rates := make(map[*Host]EndpointStatus, len(of.Endpoints))
	for _, e := range of.Endpoints {
		rates[e.Host] = e
	}
	for _, m := range c.members() {
		h := m.status()
		if e, ok := rates[m.host]; ok {
			h.SuccessRate, h.LocalOriginSuccessRate = share(e.SuccessRate), share(e.LocalSuccessRate)
		}
		s.HostStatuses = append(s.HostStatuses, h)
	}
	return s
}

// share is nil for what is not known.
func share(v float64) *typev3.Percent {
	if v < 0 {
		return nil
	}
	return &typev3.Percent{Value: v}
}

// thresholds are the bounds of the two priorities.
func (c *Cluster) thresholds() *clusterv3.CircuitBreakers {
	b := &clusterv3.CircuitBreakers{}
	for i := range c.breakers {
		of := &c.breakers[i]
		b.Thresholds = append(b.Thresholds, &clusterv3.CircuitBreakers_Thresholds{
			Priority: [...]corev3.RoutingPriority{corev3.RoutingPriority_DEFAULT, corev3.RoutingPriority_HIGH}[i], MaxConnections: limit(of.maxConns), MaxPendingRequests: limit(of.maxPending),
			MaxRequests: limit(of.maxRequests), MaxRetries: limit(of.maxRetries),
		})
	}
	return b
}

func limit(n int64) *wrapperspb.UInt32Value {
	return wrapperspb.UInt32(uint32(min(n, 1<<32-1)))
}

// members are the endpoints with their hosts, by priority. Those that requests have
// named are healthy and of priority 0.
func (c *Cluster) members() []member {
	var all []member
	if s := c.hosts.Load(); s != nil {
		for i, h := range s.all {
			all = append(all, member{&s.assignment.endpoints[i], h})
		}
	}
	slices.SortStableFunc(all, func(a, b member) int { return cmp.Compare(a.priority, b.priority) })
	c.mu.Lock()
	defer c.mu.Unlock()
	named := make([]member, 0, len(c.named))
	for _, h := range c.named {
		named = append(named, member{&endpoint{port: h.port, weight: 1}, h})
	}
	slices.SortFunc(named, func(a, b member) int { return cmp.Compare(a.host.Text, b.host.Text) })
	return append(all, named...)
}

func (m member) address() *corev3.Address {
	host := m.host.name
	if m.host.Addr.IsValid() {
		host = m.host.Addr.Addr().String()
	}
	port := uint32(m.port)
	if m.host.Addr.IsValid() {
		port = uint32(m.host.Addr.Port())
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func (m member) status() *adminv3.HostStatus {
	return &adminv3.HostStatus{
		Address: m.address(), Stats: m.host.stats(), Hostname: m.host.Name, Weight: m.weight, Priority: m.priority,
		HealthStatus: m.shownHealth(), Locality: m.place(),
	}
}

// shownHealth: an endpoint that nobody told of is healthy.
func (m member) shownHealth() *adminv3.HostHealthStatus {
	f := &m.host.flags
	h := &adminv3.HostHealthStatus{
		FailedActiveHealthCheck: f.has(failedActive), FailedOutlierCheck: f.has(failedOutlier), FailedActiveDegradedCheck: f.has(degradedActive),
		FailedDegradedOutlierDetection: f.has(degradedOutlier), PendingDynamicRemoval: f.has(pendingRemoval), PendingActiveHc: f.has(pendingActive),
		ExcludedViaImmediateHcFail: f.has(excluded), ActiveHcTimeout: f.has(timedOutActive), EdsHealthStatus: m.health,
	}
	if m.health == corev3.HealthStatus_UNKNOWN {
		h.EdsHealthStatus = corev3.HealthStatus_HEALTHY
	}
	return h
}

func (m member) place() *corev3.Locality {
	p := append(strings.Split(m.locality.name, "\x00"), "", "", "")
	return &corev3.Locality{Region: p[0], Zone: p[1], SubZone: p[2]}
}

// stats gives counters, then gauges, in Envoy's order.
func (h *Host) stats() []*adminv3.SimpleMetric {
	c := &h.Counts
	var out []*adminv3.SimpleMetric
	for _, x := range []struct {
		name  string
		value uint64
	}{
		{"cx_connect_fail", c.CxConnectFail.Load()}, {"cx_total", c.CxTotal.Load()}, {"rq_error", c.RqError.Load()},
		{"rq_success", c.RqSuccess.Load()}, {"rq_timeout", c.RqTimeout.Load()}, {"rq_total", c.RqTotal.Load()},
	} {
		out = append(out, &adminv3.SimpleMetric{Type: adminv3.SimpleMetric_COUNTER, Name: x.name, Value: x.value})
	}
	for _, x := range []struct {
		name  string
		value int64
	}{{"cx_active", c.CxActive.Load()}, {"rq_active", h.active.Load()}, {"rq_pending_active", c.RqPending.Load()}} {
		out = append(out, &adminv3.SimpleMetric{Type: adminv3.SimpleMetric_GAUGE, Name: x.name, Value: uint64(max(0, x.value))})
	}
	return out
}

// Endpoints gives what the cluster balances over now, as an assignment.
func (c *Cluster) Endpoints() *endpointv3.ClusterLoadAssignment {
	a := &endpointv3.ClusterLoadAssignment{ClusterName: cmp.Or(c.EDS.Name, c.Name), Policy: &endpointv3.ClusterLoadAssignment_Policy{}}
	if s := c.hosts.Load(); s != nil {
		a.Policy.OverprovisioningFactor = wrapperspb.UInt32(s.assignment.overprovisioning)
	}
	at := map[string]*endpointv3.LocalityLbEndpoints{}
	for _, m := range c.members() {
		key := string(rune(m.priority)) + m.locality.name
		l := at[key]
		if l == nil {
			l = &endpointv3.LocalityLbEndpoints{Locality: m.place(), Priority: m.priority, LoadBalancingWeight: wrapperspb.UInt32(m.locality.weight)}
			at[key] = l
			a.Endpoints = append(a.Endpoints, l)
		}
		l.LbEndpoints = append(l.LbEndpoints, &endpointv3.LbEndpoint{
			HealthStatus: m.state(), LoadBalancingWeight: wrapperspb.UInt32(m.weight),
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: m.address(), Hostname: m.host.Name, HealthCheckConfig: &endpointv3.Endpoint_HealthCheckConfig{},
			}},
		})
	}
	return a
}
