package hcm

import (
	"net/netip"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// internalName marks requests that come from inside (Envoy's x-envoy-internal).
const internalName = "x-envoy-internal"

// insideOnly are the fields that are heard of requests from inside alone: what they say is
// how the proxy is to treat them.
var insideOnly = map[string]bool{
	"x-envoy-retriable-status-codes": true, "x-envoy-retriable-header-names": true, "x-envoy-retry-on": true, "x-envoy-retry-grpc-on": true,
	"x-envoy-max-retries": true, altStatName: true, askedTime: true, askedTryTime: true, askedEmpty: true, expectedTime: true,
	"x-envoy-force-trace": true, "x-envoy-ip-tags": true, "x-envoy-original-url": true, askedHedge: true,
}

// insideAddresses compiles internal_address_config.
func (m *Manager) insideAddresses(c *hcmv3.HttpConnectionManager) error {
	a := c.GetInternalAddressConfig()
	if err := strict.Only(a, "cidr_ranges"); err != nil {
		return strict.At("internal_address_config", err)
	}
	for i, r := range a.GetCidrRanges() {
		ip, err := netip.ParseAddr(r.GetAddressPrefix())
		if err != nil {
			return strict.At("internal_address_config", strict.AtIndex("cidr_ranges", i, strict.At("address_prefix", err)))
		}
		p, err := ip.Prefix(int(min(r.GetPrefixLen().GetValue(), 1000)))
		if err != nil {
			return strict.At("internal_address_config", strict.AtIndex("cidr_ranges", i, strict.At("prefix_len", err)))
		}
		m.internal = append(m.internal, p)
	}
	return nil
}

// inside tells whether a request comes from inside the network: from an address that the
// configuration names, without a proxy between. At the edge that is the connection's; else
// the one that x-forwarded-for names, of which a peer of the mesh alone is believed.
func (m *Manager) inside(x *exchange.Exchange) bool {
	if len(m.internal) == 0 {
		return false
	}
	from, forwarded := x.Conn.Remote.Addr(), joined(&x.Request.Header, "x-forwarded-for")
	if !m.useRemote {
		var err error
		if from, err = netip.ParseAddr(strings.TrimSpace(forwarded)); err != nil || !x.Conn.MTLS() || x.Conn.Foreign || m.trustedHops > 0 {
			return false
		}
	} else if _, there := x.Request.Header.Lookup("x-forwarded-for"); there {
		return false
	}
	for _, p := range m.internal {
		if p.Contains(from.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}
