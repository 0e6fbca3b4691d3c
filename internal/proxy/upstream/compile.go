package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

const (
	defaultConnectTimeout = 5 * time.Second
	defaultIdleTimeout    = time.Hour
	defaultDNSRefresh     = 5 * time.Second
)

// Compile makes a cluster of Envoy's message. An error names the field.
func Compile(m *clusterv3.Cluster, o Options) (*Cluster, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := strict.Only(m, "transport_socket_matches", "name", "alt_stat_name", "type", "cluster_type", "eds_cluster_config",
		"connect_timeout", "per_connection_buffer_limit_bytes", "lb_policy", "load_assignment", "max_requests_per_connection",
		"circuit_breakers", "common_http_protocol_options", "http_protocol_options", "typed_extension_protocol_options",
		"dns_refresh_rate", "dns_failure_refresh_rate", "dns_jitter", "respect_dns_ttl", "dns_lookup_family", "typed_dns_resolver_config", "cleanup_interval", "original_dst_lb_config", "upstream_bind_config", "transport_socket", "metadata",
		"common_lb_config", "ignore_health_on_host_removal", "upstream_connection_options",
		"outlier_detection", "lb_subset_config", "health_checks", "load_balancing_policy", "least_request_lb_config", "round_robin_lb_config", "ring_hash_lb_config", "maglev_lb_config"); err != nil {
		return nil, err
	}
	if m.GetName() == "" {
		return nil, strict.Errorf("name", "empty")
	}
	m, form, err := asNames(m)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: m.GetName(), stat: cmp.Or(m.GetAltStatName(), m.GetName()), opts: o, dnsForm: form, connectTimeout: defaultConnectTimeout, idleTimeout: defaultIdleTimeout}
	if c.metadata, err = compileMetadata(m.GetMetadata()); err != nil {
		return nil, strict.At("metadata", err)
	}
	o.Counters.Hold(counters.Cluster, c.stat)
	c.Counts = counters.Group[Counts](o.Counters, counters.Cluster, c.stat)
	if err := c.compile(m); err != nil {
		c.Close()
		return nil, err
	}
	c.start()
	return c, nil
}

// start begins what a cluster does of its own accord, which waits for the lock until all
// of it is there.
func (c *Cluster) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outlier != nil {
		c.outlier.start()
	}
	if c.names != nil {
		c.names.timer = time.AfterFunc(0, c.renew)
	}
}

func (c *Cluster) compile(m *clusterv3.Cluster) error {
	for _, step := range []func(*clusterv3.Cluster) error{c.sockets, c.settings, c.balancing, c.subsets, c.httpOptions, c.limits, c.outliers, c.checks, c.discovery, provided} {
		if err := step(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) sockets(m *clusterv3.Cluster) (err error) {
	if c.socket, c.proxied, err = c.compileSocket(m.GetTransportSocket()); err != nil {
		return strict.At("transport_socket", err)
	}
	for i, s := range m.GetTransportSocketMatches() {
		if err := strict.Only(s, "name", "match", "transport_socket"); err != nil {
			return strict.AtIndex("transport_socket_matches", i, err)
		}
		u, p, err := c.compileSocket(s.GetTransportSocket())
		if err != nil {
			return strict.AtIndex("transport_socket_matches", i, strict.At("transport_socket", err))
		}
		c.matches = append(c.matches, socketMatch{fields: s.GetMatch().GetFields(), socket: u, proxied: p})
	}
	return nil
}

func (c *Cluster) settings(m *clusterv3.Cluster) error {
	if d := m.GetConnectTimeout(); d != nil {
		if c.connectTimeout = d.AsDuration(); c.connectTimeout <= 0 {
			return strict.Errorf("connect_timeout", "must be above 0")
		}
	}
	c.keepsNone = m.GetIgnoreHealthOnHostRemoval()
	c.maxPerConn = int64(m.GetMaxRequestsPerConnection().GetValue())
	if err := c.keepaliveOptions(m.GetUpstreamConnectionOptions()); err != nil {
		return strict.At("upstream_connection_options", err)
	}
	b := m.GetUpstreamBindConfig()
	if b == nil {
		return nil
	}
	if err := strict.Only(b, "source_address"); err != nil {
		return strict.At("upstream_bind_config", err)
	}
	ip, err := netip.ParseAddr(b.GetSourceAddress().GetAddress())
	if err != nil {
		return strict.Errorf("upstream_bind_config.source_address.address", "not an IP address")
	}
	if b.GetSourceAddress().GetPortValue() != 0 {
		return strict.Errorf("upstream_bind_config.source_address.port_value", "%w", strict.ErrUnsupported)
	}
	c.bind = ip
	return nil
}

func (c *Cluster) httpOptions(m *clusterv3.Cluster) error {
	if err := c.commonOptions(m.GetCommonHttpProtocolOptions()); err != nil {
		return strict.At("common_http_protocol_options", err)
	}
	c.trailers = m.GetHttpProtocolOptions().GetEnableTrailers()
	for name, any := range m.GetTypedExtensionProtocolOptions() {
		if err := c.protocolOptions(name, any); err != nil {
			return strict.At("typed_extension_protocol_options["+name+"]", err)
		}
	}
	return nil
}

func (c *Cluster) protocolOptions(name string, any *anypb.Any) error {
	if name != "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" {
		return strict.ErrUnsupported
	}
	o := new(httpv3.HttpProtocolOptions)
	if err := strict.Unpack(any, o); err != nil {
		return err
	}
	if err := strict.Only(o, "common_http_protocol_options", "explicit_http_config", "use_downstream_protocol_config", "auto_config"); err != nil {
		return err
	}
	if err := c.upstreamProtocol(o); err != nil {
		return err
	}
	return strict.At("common_http_protocol_options", c.commonOptions(o.GetCommonHttpProtocolOptions()))
}

// upstreamProtocol chooses what is spoken to the endpoints.
func (c *Cluster) upstreamProtocol(o *httpv3.HttpProtocolOptions) error {
	var http2 *corev3.Http2ProtocolOptions
	at := ""
	switch {
	case o.GetExplicitHttpConfig() != nil:
		e := o.GetExplicitHttpConfig()
		if err := strict.Only(e, "http_protocol_options", "http2_protocol_options"); err != nil {
			return strict.At("explicit_http_config", err)
		}
		if http2 = e.GetHttp2ProtocolOptions(); http2 != nil {
			c.speaks = onlyHTTP2
		}
		c.trailers = c.trailers || e.GetHttpProtocolOptions().GetEnableTrailers()
		at = "explicit_http_config.http2_protocol_options"
	case o.GetUseDownstreamProtocolConfig() != nil:
		d := o.GetUseDownstreamProtocolConfig()
		if err := strict.Only(d, "http_protocol_options", "http2_protocol_options"); err != nil {
			return strict.At("use_downstream_protocol_config", err)
		}
		if http2 = d.GetHttp2ProtocolOptions(); http2 != nil {
			c.speaks = asClient
		}
		c.trailers = c.trailers || d.GetHttpProtocolOptions().GetEnableTrailers()
		at = "use_downstream_protocol_config.http2_protocol_options"
	case o.GetAutoConfig() != nil:
		a := o.GetAutoConfig()
		if err := strict.Only(a, "http_protocol_options", "http2_protocol_options"); err != nil {
			return strict.At("auto_config", err)
		}
		if c.socket == nil || slices.ContainsFunc(c.matches, func(m socketMatch) bool { return m.socket == nil }) {
			return strict.Errorf("auto_config", "needs TLS, whose ALPN chooses the protocol")
		}
		c.speaks = byALPN
		c.trailers = c.trailers || a.GetHttpProtocolOptions().GetEnableTrailers()
		return strict.At("auto_config.http2_protocol_options", c.http2Options(a.GetHttp2ProtocolOptions()))
	}
	if http2 == nil {
		return nil
	}
	return strict.At(at, c.http2Options(http2))
}

func (c *Cluster) commonOptions(o *corev3.HttpProtocolOptions) error {
	if o == nil {
		return nil
	}
	if err := strict.Only(o, "idle_timeout", "max_requests_per_connection", "max_connection_duration"); err != nil {
		return err
	}
	if o.GetIdleTimeout() != nil {
		c.idleTimeout = o.GetIdleTimeout().AsDuration()
		if c.idleTimeout == 0 {
			c.idleTimeout = 1<<63 - 1
		}
	}
	if o.GetMaxConnectionDuration() != nil {
		var err error
		if c.maxAge, err = above0("max_connection_duration", o.GetMaxConnectionDuration(), 0); err != nil {
			return err
		}
	}
	if n := o.GetMaxRequestsPerConnection().GetValue(); n > 0 {
		c.maxPerConn = int64(n)
	}
	return nil
}

func (c *Cluster) limits(m *clusterv3.Cluster) error {
	b := m.GetCircuitBreakers()
	if err := strict.Only(b, "thresholds", "per_host_thresholds"); err != nil {
		return strict.At("circuit_breakers", err)
	}
	for i := range c.breakers {
		k := &c.breakers[i]
		k.unbound()
		if m.GetType() == clusterv3.Cluster_ORIGINAL_DST || m.GetClusterType() != nil {
			// Requests name where they go: to this proxy, they come again, and again.
			k.maxConns, k.maxRequests, k.maxPending, k.maxRetries = defaultBound, defaultBound, defaultBound, defaultRetries
		}
	}
	for i, t := range b.GetPerHostThresholds() {
		k, err := c.breakerOf(t, "max_connections")
		if err != nil {
			return strict.At("circuit_breakers", strict.AtIndex("per_host_thresholds", i, err))
		}
		if k.maxPerHost == unbounded { // the first one holds
			k.maxPerHost = bound(t.GetMaxConnections(), unbounded)
		}
	}
	for i, t := range b.GetThresholds() {
		k, err := c.breakerOf(t, "max_connections", "max_pending_requests", "max_requests", "max_retries", "track_remaining", "retry_budget")
		if err == nil && !k.bounded { // the first one holds
			err = k.thresholds(t)
		}
		if err != nil {
			return strict.At("circuit_breakers", strict.AtIndex("thresholds", i, err))
		}
	}
	for i := range c.breakers {
		if k := &c.breakers[i]; !k.bounded && k.maxPerHost < unbounded { // there is a queue
			k.maxPending = defaultBound
		}
	}
	return nil
}

// breakerOf gives the circuit breaker that thresholds of no more than these fields are of.
func (c *Cluster) breakerOf(t *clusterv3.CircuitBreakers_Thresholds, fields ...string) (*breaker, error) {
	if err := strict.Only(t, append(fields, "priority")...); err != nil {
		return nil, err
	}
	p, err := PriorityOf(t.GetPriority())
	if err != nil {
		return nil, strict.At("priority", err)
	}
	return &c.breakers[p], nil
}

func (c *Cluster) discovery(m *clusterv3.Cluster) error {
	if t := m.GetType(); m.GetClusterType() != nil || t != clusterv3.Cluster_STRICT_DNS && t != clusterv3.Cluster_LOGICAL_DNS {
		if err := resolvesNone(m); err != nil {
			return err
		}
	}
	if t := m.GetClusterType(); t != nil {
		return strict.At("cluster_type", c.forwardProxy(t))
	}
	if m.GetType() == clusterv3.Cluster_ORIGINAL_DST {
		return c.originalDestination(m)
	}
	for name, set := range map[string]bool{"cleanup_interval": m.GetCleanupInterval() != nil, "original_dst_lb_config": m.GetOriginalDstLbConfig() != nil} {
		if set {
			return strict.Errorf(name, "of another type than ORIGINAL_DST")
		}
	}
	c.lookup = m.GetDnsLookupFamily()
	switch m.GetType() {
	case clusterv3.Cluster_STATIC:
		return strict.At("load_assignment", c.SetEndpoints(m.GetLoadAssignment()))
	case clusterv3.Cluster_EDS:
		if m.GetLoadAssignment() != nil {
			return strict.Errorf("load_assignment", "beside EDS: %w", strict.ErrUnsupported)
		}
		if err := strict.Only(m.GetEdsClusterConfig(), "eds_config", "service_name"); err != nil {
			return strict.At("eds_cluster_config", err)
		}
		if m.GetEdsClusterConfig().GetEdsConfig() == nil {
			return strict.Errorf("eds_cluster_config.eds_config", "missing")
		}
		source, err := origin.Open(m.GetEdsClusterConfig().GetEdsConfig())
		if err != nil {
			return strict.At("eds_cluster_config.eds_config", err)
		}
		c.EDS = origin.Name{Source: source, Name: cmp.Or(m.GetEdsClusterConfig().GetServiceName(), c.Name)}
		return nil
	case clusterv3.Cluster_STRICT_DNS, clusterv3.Cluster_LOGICAL_DNS:
		return c.resolving(m)
	}
	return strict.Errorf("type", "%s: %w", m.GetType(), strict.ErrUnsupported)
}
