//go:build !linux

package listener

import (
	"net"
	"net/netip"
)

// originalDst: netfilter is Linux's.
func originalDst(net.Conn, netip.AddrPort) (to netip.AddrPort, ok bool) { return to, false }
