package listener

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	ppv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter/rbac"
	"github.com/usher-mesh/usher/internal/proxy/hcm"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

const (
	defaultInspect = 10 * time.Second
	defaultShake   = 10 * time.Second
)

// Compile makes a spec of Envoy's message. An error names the field.
func Compile(m *listenerv3.Listener, o Options) (*Spec, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Overload == nil {
		o.Overload = new(overload.State)
	}
	if err := strict.Only(m, "name", "address", "stat_prefix", "filter_chains", "default_filter_chain", "metadata", "listener_filters",
		"listener_filters_timeout", "traffic_direction", "per_connection_buffer_limit_bytes", "drain_type", "enable_reuse_port",
		"tcp_backlog_size", "bind_to_port", "use_original_dst", "continue_on_listener_filters_timeout"); err != nil {
		return nil, err
	}
	at, network, err := address(m)
	if err != nil {
		return nil, err
	}
	s := &Spec{Name: m.GetName(), Address: at, Network: network, Inbound: m.GetTrafficDirection() == corev3.TrafficDirection_INBOUND,
		timeout: defaultInspect, max: o.MaxConnections, log: o.Log, overload: o.Overload,
		outbound: m.GetTrafficDirection() == corev3.TrafficDirection_OUTBOUND}
	if s.max <= 0 {
		s.max = defaultMax
	}
	s.metadata = m.GetMetadata()
	s.counters, s.statName = o.Counters, statName(m.GetStatPrefix(), at.String())
	s.counters.Hold(counters.Listener, s.statName)
	s.stats = counters.Group[stats](s.counters, counters.Listener, s.statName)
	if err := s.compile(m, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// compile compiles what can be wrong.
func (s *Spec) compile(m *listenerv3.Listener, o Options) error {
	if limit, ok := o.Limits[s.Name]; ok {
		s.max = limit
	}
	if m.GetDrainType() == listenerv3.Listener_DEFAULT {
		s.unwell = o.Unwell
	}
	if t := m.GetListenerFiltersTimeout(); t != nil {
		if s.timeout = t.AsDuration(); s.timeout <= 0 {
			s.timeout = defaultInspect
		}
	}
	if m.GetContinueOnListenerFiltersTimeout() {
		return strict.Errorf("continue_on_listener_filters_timeout", "%w", strict.ErrUnsupported)
	}
	s.Unbound = m.GetBindToPort() != nil && !m.GetBindToPort().GetValue()
	if s.handsOff = m.GetUseOriginalDst().GetValue(); s.handsOff {
		s.restores, s.at = true, o.At
		if s.at == nil {
			s.at = func(netip.AddrPort) *Listener { return nil }
		}
	}
	for i, f := range m.GetListenerFilters() {
		if err := s.compileListenerFilter(f, i); err != nil {
			return strict.AtIndex("listener_filters", i, err)
		}
	}
	return s.compileChains(m, o)
}

// compileListenerFilter takes what looks at a connection before its chain is chosen.
// TLS is inspected where a chain asks for it, whether a filter says so or not.
func (s *Spec) compileListenerFilter(f *listenerv3.ListenerFilter, at int) error {
	if err := strict.Only(f, "name", "typed_config"); err != nil {
		return err
	}
	any := f.GetTypedConfig()
	switch {
	case any == nil && f.GetName() == "envoy.filters.listener.tls_inspector":
		return nil
	case any.MessageIs((*inspectorv3.TlsInspector)(nil)):
		m := new(inspectorv3.TlsInspector)
		if err := strict.Unpack(any, m); err != nil {
			return strict.At("typed_config", err)
		}
		return strict.At("typed_config", strict.Only(m, "initial_read_buffer_size"))
	case any.MessageIs((*originalv3.OriginalDst)(nil)):
		s.restores = true
		return strict.At("typed_config", strict.Unpack(any, new(originalv3.OriginalDst)))
	case any.MessageIs((*ppv3.ProxyProtocol)(nil)):
		if at > 0 {
			return strict.Errorf("typed_config", "proxy_protocol must be the first filter")
		}
		m := new(ppv3.ProxyProtocol)
		err := strict.Unpack(any, m)
		if err == nil {
			s.told, err = compileProxyProtocol(m)
		}
		return strict.At("typed_config", err)
	}
	return strict.At("typed_config", strict.Unknown(any))
}

func (s *Spec) compileChains(m *listenerv3.Listener, o Options) error {
	usher := m.GetMetadata().GetFilterMetadata()["usher"]
	for i, c := range m.GetFilterChains() {
		compiled, err := s.compileChain(c, o, usher)
		if err != nil {
			return strict.AtIndex("filter_chains", i, err)
		}
		before := s.chains
		s.chains = append(s.chains, compiled) // so that it is closed whatever follows
		x := &compiled.match
		for j, other := range before {
			if x.overlaps(&other.match) {
				return strict.AtIndex("filter_chains", i, strict.Errorf("filter_chain_match", "a connection could be filter_chains[%d]'s as well", j))
			}
		}
		s.hello = s.hello || len(x.names) > 0 || len(x.alpn) > 0
		s.inspect = s.inspect || s.hello || x.transport != ""
	}
	if d := m.GetDefaultFilterChain(); d != nil {
		c, err := s.compileChain(d, o, usher)
		if err != nil {
			return strict.At("default_filter_chain", err)
		}
		s.fallback = c
	}
	if len(s.chains) == 0 && s.fallback == nil {
		return strict.Errorf("filter_chains", "empty")
	}
	return nil
}

func (s *Spec) compileChain(m *listenerv3.FilterChain, o Options, usher *structpb.Struct) (*chain, error) {
	if err := strict.Only(m, "filter_chain_match", "filters", "transport_socket", "transport_socket_connect_timeout", "name", "metadata"); err != nil {
		return nil, err
	}
	c := &chain{place: &exchange.Place{Chain: m.GetName(), Metadata: s.metadata, ChainMetadata: m.GetMetadata()}, wait: defaultShake}
	if t := m.GetTransportSocketConnectTimeout(); t != nil && t.AsDuration() > 0 {
		c.wait = t.AsDuration()
	}
	if err := c.compileMatch(m.GetFilterChainMatch()); err != nil {
		return nil, strict.At("filter_chain_match", err)
	}
	var err error
	if c.tls, err = tls.CompileDownstream(m.GetTransportSocket(), o.Secrets); err != nil {
		return nil, strict.At("transport_socket", err)
	}
	if c.tls != nil && s.tlsStats == nil {
		s.tlsStats = counters.Group[tlsStats](s.counters, counters.Listener, s.statName)
	}
	if err := s.compileFilters(c, m.GetFilters(), o, usher); err != nil {
		return nil, err
	}
	if c.tls != nil && c.http != nil && !c.http.HTTP2() {
		c.tls = c.tls.WithoutHTTP2()
	}
	return c, nil
}

// compileFilters takes one filter that serves the connection, and before it such as
// bound the number of connections or, for a TcpProxy, decide whether it may be there.
func (s *Spec) compileFilters(c *chain, list []*listenerv3.Filter, o Options, usher *structpb.Struct) error {
	last := len(list) - 1
	if last < 0 {
		return strict.Errorf("filters", "empty")
	}
	var guards []*rbac.Network
	for i, f := range list[:last] {
		if err := strict.Only(f, "name", "typed_config"); err != nil {
			return strict.AtIndex("filters", i, err)
		}
		if f.GetTypedConfig().MessageIs((*limitv3.ConnectionLimit)(nil)) {
			l, err := compileConnectionLimit(f.GetTypedConfig(), o.Counters)
			if err != nil {
				return strict.AtIndex("filters", i, strict.At("typed_config", err))
			}
			s.held = append(s.held, heldStat{counters.ConnectionLimit, l.prefix})
			c.limit = append(c.limit, l)
			continue
		}
		if t := f.GetTypedConfig().GetTypeUrl(); t != rbac.NetworkTypeURL || !list[last].GetTypedConfig().MessageIs((*tcpv3.TcpProxy)(nil)) {
			return strict.AtIndex("filters", i, strict.Errorf("typed_config", "%s in front of the last filter: %w", t, strict.ErrUnsupported))
		}
		g, err := rbac.CompileNetwork(f.GetTypedConfig(), o.Counters)
		if err != nil {
			return strict.AtIndex("filters", i, strict.At("typed_config", err))
		}
		s.held = append(s.held, heldStat{counters.Network, g.StatPrefix})
		guards = append(guards, g)
	}
	if err := s.compileFilter(c, list[last], o, usher); err != nil {
		return strict.AtIndex("filters", last, err)
	}
	if c.tcp != nil {
		c.tcp.guards = guards
	}
	return nil
}

func (s *Spec) compileFilter(c *chain, f *listenerv3.Filter, o Options, usher *structpb.Struct) error {
	if err := strict.Only(f, "name", "typed_config"); err != nil {
		return err
	}
	any := f.GetTypedConfig()
	switch {
	case any.MessageIs((*hcmv3.HttpConnectionManager)(nil)):
		m := new(hcmv3.HttpConnectionManager)
		if err := any.UnmarshalTo(m); err != nil {
			return strict.At("typed_config", err)
		}
		ho := hcm.Options{Filters: o.Filters, Snapshot: o.Snapshot, Listener: s.Name, Usher: usher,
			HTTPProxy: usher.GetFields()["http_proxy"].GetBoolValue(), ProxyCredential: o.ProxyCredential,
			AccessLogs: o.AccessLogs, Observe: o.Observe, Counters: o.Counters, StatAddress: s.statName, HTTP2: o.HTTP2, Overload: o.Overload,
			Outbound: s.outbound, Clusters: o.cluster, Node: o.Node, Log: o.Log}
		if c.tls != nil {
			ho.LocalURI = c.tls.LocalURI
		}
		var err error
		if c.http, err = hcm.Compile(m, ho); err != nil {
			return strict.At("typed_config", err)
		}
		if r := c.http.RouteName(); r != "" && !slices.Contains(s.Routes, r) {
			s.Routes = append(s.Routes, r)
		}
		return nil
	case any.MessageIs((*tcpv3.TcpProxy)(nil)):
		m := new(tcpv3.TcpProxy)
		if err := any.UnmarshalTo(m); err != nil {
			return strict.At("typed_config", err)
		}
		var err error
		c.tcp, err = compileTCP(m, s.Name, o)
		return strict.At("typed_config", err)
	}
	return strict.At("typed_config", strict.Unknown(any))
}

func (c *chain) compileMatch(m *listenerv3.FilterChainMatch) error {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "destination_port", "prefix_ranges", "server_names", "transport_protocol", "application_protocols",
		"direct_source_prefix_ranges", "source_type", "source_prefix_ranges", "source_ports"); err != nil {
		return err
	}
	x := &c.match
	if p := m.GetDestinationPort(); p != nil {
		if p.GetValue() == 0 || p.GetValue() > 65535 {
			return strict.Errorf("destination_port", "not a port")
		}
		x.port = uint16(p.GetValue())
	}
	for _, l := range []struct {
		name string
		from []*corev3.CidrRange
		to   *[]netip.Prefix
	}{
		{"prefix_ranges", m.GetPrefixRanges(), &x.prefixes},
		{"direct_source_prefix_ranges", m.GetDirectSourcePrefixRanges(), &x.direct},
		{"source_prefix_ranges", m.GetSourcePrefixRanges(), &x.sources},
	} {
		if err := prefixes(l.name, l.from, l.to); err != nil {
			return err
		}
	}
	if x.sourceType = m.GetSourceType(); x.sourceType.Descriptor().Values().ByNumber(x.sourceType.Number()) == nil {
		return strict.Errorf("source_type", "%d: %w", x.sourceType, strict.ErrUnsupported)
	}
	for i, p := range m.GetSourcePorts() {
		if p == 0 || p > 65535 {
			return strict.AtIndex("source_ports", i, strict.Errorf("", "not a port"))
		}
		x.sourcePorts = append(x.sourcePorts, uint16(p))
	}
	for i, n := range m.GetServerNames() {
		n = strings.ToLower(n)
		if strings.HasPrefix(n, "*.") {
			n = n[1:]
		}
		if n == "" || strings.Contains(n, "*") {
			return strict.AtIndex("server_names", i, strict.Errorf("", "%q is not a server name", n))
		}
		x.names = append(x.names, n)
	}
	switch x.transport = m.GetTransportProtocol(); x.transport {
	case "", "tls", "raw_buffer":
	default:
		return strict.Errorf("transport_protocol", "%q: %w", x.transport, strict.ErrUnsupported)
	}
	x.alpn = m.GetApplicationProtocols()
	return nil
}

func prefixes(name string, from []*corev3.CidrRange, to *[]netip.Prefix) error {
	for i, r := range from {
		ip, err := netip.ParseAddr(r.GetAddressPrefix())
		if err != nil {
			return strict.AtIndex(name, i, strict.Errorf("address_prefix", "not an IP address"))
		}
		p, err := ip.Unmap().Prefix(int(r.GetPrefixLen().GetValue()))
		if err != nil {
			return strict.AtIndex(name, i, strict.Errorf("prefix_len", "too long"))
		}
		*to = append(*to, p)
	}
	return nil
}
