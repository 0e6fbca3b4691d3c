package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	addrinfov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/getaddrinfo/v3"

	"github.com/usher-mesh/usher/internal/proxy/dns"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// resolvesNone refuses what would have no effect in a cluster without names.
func resolvesNone(m *clusterv3.Cluster) error {
	for name, set := range map[string]bool{"typed_dns_resolver_config": m.GetTypedDnsResolverConfig() != nil, "respect_dns_ttl": m.GetRespectDnsTtl(),
		"dns_jitter": m.GetDnsJitter() != nil, "dns_failure_refresh_rate": m.GetDnsFailureRefreshRate() != nil} {
		if set {
			return strict.Errorf(name, "of a cluster that resolves no names: %w", strict.ErrUnsupported)
		}
	}
	return nil
}

// What Envoy gives c-ares.
const (
	defaultDNSTimeout = 5 * time.Second
	defaultDNSTries   = 4
	maxDNSTries       = 16
	maxDNSTimeout     = 30 // seconds
	maxDNSServers     = 16
)

// systemDNS is where the machine's servers are written down.
const systemDNS = "/etc/resolv.conf"

// resolveBy compiles who is asked for addresses. The system's resolver tells no TTL: where
// these count, its servers are asked.
func (c *Cluster) resolveBy(m *clusterv3.Cluster) error {
	t := m.GetTypedDnsResolverConfig()
	switch any := t.GetTypedConfig(); {
	case t == nil && !m.GetRespectDnsTtl():
		return nil
	case t == nil:
		c.dnsClient, _ = clientOf(new(caresv3.CaresDnsResolverConfig), systemDNS)
		return nil
	case any.MessageIs((*addrinfov3.GetAddrInfoDnsResolverConfig)(nil)):
		if m.GetRespectDnsTtl() {
			return strict.Errorf("respect_dns_ttl", "getaddrinfo tells none: %w", strict.ErrUnsupported)
		}
		g := new(addrinfov3.GetAddrInfoDnsResolverConfig)
		err := strict.Unpack(any, g)
		if err == nil {
			err = strict.Only(g)
		}
		return strict.At("typed_dns_resolver_config.typed_config", err)
	case any.MessageIs((*caresv3.CaresDnsResolverConfig)(nil)):
		g := new(caresv3.CaresDnsResolverConfig)
		err := strict.Unpack(any, g)
		if err == nil {
			c.dnsClient, err = clientOf(g, systemDNS)
		}
		return strict.At("typed_dns_resolver_config.typed_config", err)
	default:
		return strict.Errorf("typed_dns_resolver_config.typed_config", "%q: %w", any.GetTypeUrl(), strict.ErrUnsupported)
	}
}

// clientOf compiles c-ares' configuration, beside what the machine is set to by a file.
func clientOf(m *caresv3.CaresDnsResolverConfig, file string) (*dns.Client, error) {
	if err := strict.Only(m, "resolvers", "use_resolvers_as_fallback", "dns_resolver_options", "query_timeout_seconds", "query_tries", "rotate_nameservers"); err != nil {
		return nil, err
	}
	o := m.GetDnsResolverOptions()
	if err := strict.Only(o, "use_tcp_for_dns_lookups", "no_default_search_domain"); err != nil {
		return nil, strict.At("dns_resolver_options", err)
	}
	d := &dns.Client{TCP: o.GetUseTcpForDnsLookups(), Rotate: m.GetRotateNameservers(), Timeout: defaultDNSTimeout, Tries: defaultDNSTries}
	if v := m.GetQueryTimeoutSeconds(); v != nil {
		if v.GetValue() < 1 || v.GetValue() > maxDNSTimeout {
			return nil, strict.Errorf("query_timeout_seconds", "must be from 1 to %d", maxDNSTimeout)
		}
		d.Timeout = time.Duration(v.GetValue()) * time.Second
	}
	if v := m.GetQueryTries(); v != nil {
		if v.GetValue() < 1 || v.GetValue() > maxDNSTries {
			return nil, strict.Errorf("query_tries", "must be from 1 to %d", maxDNSTries)
		}
		d.Tries = int(v.GetValue())
	}
	if len(m.GetResolvers()) > maxDNSServers {
		return nil, strict.Errorf("resolvers", "more than %d", maxDNSServers)
	}
	system, search := dns.System(file)
	for i, r := range m.GetResolvers() {
		s := r.GetSocketAddress()
		if s == nil {
			return nil, strict.AtIndex("resolvers", i, strict.Errorf("", "not a socket_address: %w", strict.ErrUnsupported))
		}
		if err := strict.Only(s, "protocol", "address", "port_value"); err != nil {
			return nil, strict.AtIndex("resolvers", i, strict.At("socket_address", err))
		}
		ip, err := netip.ParseAddr(s.GetAddress())
		if err != nil || s.GetPortValue() > 65535 {
			return nil, strict.AtIndex("resolvers", i, strict.Errorf("socket_address", "not an IP address and a port"))
		}
		port := uint16(s.GetPortValue())
		if port == 0 {
			port = 53
		}
		d.Servers = append(d.Servers, netip.AddrPortFrom(ip, port))
	}
	switch {
	case len(system) > 0 && (len(d.Servers) == 0 || m.GetUseResolversAsFallback()):
		d.Servers = system
	case len(d.Servers) == 0:
		d.Servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	if !o.GetNoDefaultSearchDomain() {
		d.Search = search
	}
	return d, nil
}
