package listener

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
)

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		ip      string
		compat  bool
		network string
		err     string
	}{
		{ip: "0.0.0.0", network: "tcp4"},
		{ip: "::", network: "tcp6"},
		{ip: "::", compat: true, network: "tcp"},
		{ip: "127.0.0.1", network: "tcp"},
		{ip: "::1", network: "tcp"},
		{ip: "0.0.0.0", compat: true, err: "address.socket_address.ipv4_compat: of another address than ::"},
		{ip: "::1", compat: true, err: "address.socket_address.ipv4_compat: of another address than ::"},
		{ip: "::ffff:0.0.0.0", compat: true, err: "address.socket_address.address: IPv4 within IPv6: not supported; write it as IPv4"},
		{ip: "::ffff:127.0.0.1", err: "address.socket_address.address: IPv4 within IPv6: not supported; write it as IPv4"},
		{ip: "localhost", err: "address.socket_address.address: not an IP address"},
	} {
		at, network, err := address(&listenerv3.Listener{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: c.ip, Ipv4Compat: c.compat, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 80}}}}})
		said := ""
		if err != nil {
			said = err.Error()
		}
		if network != c.network || said != c.err || err == nil && at.Addr().String() != c.ip {
			t.Errorf("%s, %v: %s in %q, %q", c.ip, c.compat, at, network, said)
		}
	}
}
