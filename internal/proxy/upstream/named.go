package upstream

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	dfpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// defaultNamed bounds the hosts of a dynamic cluster, if it does not say (max_hosts); the
// one unused longest goes.
const defaultNamed = 1024

// forwardProxy compiles a cluster of whichever hosts requests name
// (envoy.clusters.dynamic_forward_proxy).
func (c *Cluster) forwardProxy(t *clusterv3.Cluster_CustomClusterType) error {
	if t.GetTypedConfig() == nil {
		return strict.Errorf("name", "%q: %w", t.GetName(), strict.ErrUnsupported)
	}
	m := new(dfpv3.ClusterConfig)
	if !t.GetTypedConfig().MessageIs(m) {
		return strict.Errorf("typed_config", "%q: %w", t.GetTypedConfig().GetTypeUrl(), strict.ErrUnsupported)
	}
	if err := strict.Unpack(t.GetTypedConfig(), m); err != nil {
		return strict.At("typed_config", err)
	}
	if err := strict.Only(m, "dns_cache_config"); err != nil {
		return strict.At("typed_config", err)
	}
	d := m.GetDnsCacheConfig()
	if d == nil {
		return strict.Errorf("typed_config.dns_cache_config", "missing")
	}
	if err := strict.Only(d, "name", "dns_lookup_family", "max_hosts"); err != nil {
		return strict.At("typed_config.dns_cache_config", err)
	}
	c.dynamic, c.named, c.maxNamed = true, make(map[string]*Host), defaultNamed
	if n := d.GetMaxHosts(); n != nil {
		if c.maxNamed = int(n.GetValue()); c.maxNamed == 0 {
			return strict.Errorf("typed_config.dns_cache_config.max_hosts", "must be above 0")
		}
	}
	c.lookup = d.GetDnsLookupFamily()
	return nil
}

// SplitAuthority gives host (without brackets) and port of an authority; port is
// the default if there is none.
func SplitAuthority(authority string, port uint16) (string, uint16, bool) {
	host := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && i > strings.LastIndexByte(authority, ']') {
		n, err := strconv.ParseUint(authority[i+1:], 10, 16)
		if err != nil {
			return "", 0, false
		}
		host, port = authority[:i], uint16(n)
	}
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host, port, host != "" && port != 0
}

// pickNamed gives the host that an authority names.
func (c *Cluster) pickNamed(authority string, port uint16) (*Host, error) {
	name, port, ok := SplitAuthority(authority, port)
	if !ok {
		return nil, ErrNoHealthy
	}
	text := net.JoinHostPort(strings.ToLower(name), strconv.Itoa(int(port)))
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrNoHealthy
	}
	h := c.named[text]
	if h == nil {
		if len(c.named) >= c.maxNamed {
			c.evict()
		}
		h = &Host{cluster: c, Text: strings.Clone(text), Name: strings.Clone(name), name: strings.Clone(name), port: port, socket: c.socket, clients: clientsOf(c.proxied, "")}
		c.named[h.Text] = h
	}
	h.used = now
	return h, nil
}

// evict drains the host that was unused longest.
func (c *Cluster) evict() {
	var oldest *Host
	for _, h := range c.named {
		if oldest == nil || h.used.Before(oldest.used) {
			oldest = h
		}
	}
	if oldest != nil {
		delete(c.named, oldest.Text)
		oldest.drain()
	}
}

// family gives the addresses that dns_lookup_family wants; which are preferred are the
// only ones where there are any.
func (c *Cluster) family(addrs []netip.Addr) []netip.Addr {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a.Unmap().Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	switch c.lookup {
	case clusterv3.Cluster_V4_ONLY:
		return four
	case clusterv3.Cluster_V6_ONLY:
		return six
	case clusterv3.Cluster_V4_PREFERRED:
		if len(four) > 0 {
			return four
		}
		return six
	case clusterv3.Cluster_ALL:
		return append(four, six...)
	}
	if len(six) > 0 { // AUTO
		return six
	}
	return four
}

// host makes the host of a key.
func (c *Cluster) host(k hostKey) *Host {
	h := &Host{cluster: c, Addr: k.addr, Text: k.addr.String(), Name: k.name, key: k, socket: c.socket, others: k.othersOf()}
	tells := c.proxied
	if k.socket >= 0 {
		h.socket, tells = c.matches[k.socket].socket, c.matches[k.socket].proxied
	}
	h.clients = clientsOf(tells, k.tlvs)
	if c.checker != nil && !k.unchecked {
		h.flags.set(failedActive)
		if c.ignoresNew {
			h.flags.set(pendingActive)
		}
	}
	if c.outlier != nil {
		h.monitor = &monitor{d: c.outlier, host: h}
		h.monitor.answers.shown, h.monitor.connects.shown = -1, -1
	}
	return h
}
