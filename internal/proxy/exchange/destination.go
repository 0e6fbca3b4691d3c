package exchange

import "net/netip"

// DestinationState is the name of the filter state that says which address a cluster of
// type ORIGINAL_DST sends the request to: see Exchange.Destination.
const DestinationState = "envoy.network.transport_socket.original_dst_address"

// ParseDestination reads "ip:port", "[ip]:port" for IPv6. Names and zones are none.
func ParseDestination(text string) (to netip.AddrPort, ok bool) {
	to, err := netip.ParseAddrPort(text)
	return to, err == nil && to.Addr().Zone() == ""
}

// Restored tells whether the connection was made to another address than the one that it
// was accepted at: it was redirected, or whoever passes it on says so.
func (c *Conn) Restored() bool { return c.Accepted.IsValid() && c.Local != c.Accepted }
