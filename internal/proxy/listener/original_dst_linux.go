package listener

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// soOriginalDst is SO_ORIGINAL_DST of IPv4 and IP6T_SO_ORIGINAL_DST of IPv6
// (linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h).
const soOriginalDst = 80

// originalDst gives the destination of a connection before netfilter redirected it. Where
// netfilter follows no connections there is none; where it does, that of one which it has not
// redirected is its own address.
func originalDst(c net.Conn, accepted netip.AddrPort) (to netip.AddrPort, ok bool) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return to, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return to, false
	}
	err = raw.Control(func(fd uintptr) {
		if accepted.Addr().Unmap().Is4() {
			to, ok = originalDst4(int(fd))
		} else {
			to, ok = originalDst6(int(fd))
		}
	})
	return to, ok && err == nil
}

// originalDst4 reads a sockaddr_in through a larger structure: family, port, address.
func originalDst4(fd int) (to netip.AddrPort, ok bool) {
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, soOriginalDst)
	if err != nil {
		return to, false
	}
	b := m.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), true
}

func originalDst6(fd int) (to netip.AddrPort, ok bool) {
	m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, soOriginalDst)
	if err != nil {
		return to, false
	}
	var port [2]byte // in network order
	binary.NativeEndian.PutUint16(port[:], m.Addr.Port)
	return netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr).Unmap(), binary.BigEndian.Uint16(port[:])), true
}
