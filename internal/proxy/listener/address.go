package listener

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// address gives the address that a listener is to be bound to, and the network that says
// which connections to it are taken: a wildcard takes those of its own family alone, unless
// it is :: with ipv4_compat.
func address(m *listenerv3.Listener) (at netip.AddrPort, network string, err error) {
	a := m.GetAddress().GetSocketAddress()
	if a == nil {
		return at, "", strict.Errorf("address", "not a socket_address: %w", strict.ErrUnsupported)
	}
	if err := strict.Only(a, "protocol", "address", "port_value", "ipv4_compat"); err != nil {
		return at, "", strict.At("address.socket_address", err)
	}
	if a.GetProtocol() != corev3.SocketAddress_TCP {
		return at, "", strict.Errorf("address.socket_address.protocol", "%w", strict.ErrUnsupported)
	}
	ip, err := netip.ParseAddr(a.GetAddress())
	switch {
	case err != nil:
		return at, "", strict.Errorf("address.socket_address.address", "not an IP address")
	case ip.Is4In6(): // bound as IPv4 here, so ranges of addresses would not mean what they mean in Envoy
		return at, "", strict.Errorf("address.socket_address.address", "IPv4 within IPv6: %w; write it as IPv4", strict.ErrUnsupported)
	case a.GetIpv4Compat() && ip != netip.IPv6Unspecified():
		return at, "", strict.Errorf("address.socket_address.ipv4_compat", "of another address than ::")
	}
	if a.GetPortValue() > 65535 {
		return at, "", strict.Errorf("address.socket_address.port_value", "not a port")
	}
	switch {
	case !ip.IsUnspecified() || a.GetIpv4Compat():
		network = "tcp"
	case ip.Is4():
		network = "tcp4"
	default:
		network = "tcp6"
	}
	return netip.AddrPortFrom(ip, uint16(a.GetPortValue())), network, nil
}
