package workload

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
)

// chooseAddress gives the workload an address of its own in 127.0.0.0/8, the
// same at every start as long as nobody else has it. Where the system has one
// loopback address only (darwin), that is it.
func chooseAddress(home, namespace, name string, taken func(netip.Addr) bool) (netip.Addr, error) {
	if runtime.GOOS != "linux" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	for i := range 1000 {
		h := sha256.Sum256([]byte(strings.Join([]string{home, namespace, name, strconv.Itoa(i)}, "\x00")))
		// 127.0 is left to the programs that users start; .0 and .255 look like
		// networks.
		a := netip.AddrFrom4([4]byte{127, 1 + h[0]%254, h[1], 1 + h[2]%254})
		if !taken(a) {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no free address in 127.0.0.0/8 for workload %s/%s", namespace, name)
}

// choosePort gives want if it can be bound on the address now, else a free one.
func choosePort(a netip.Addr, want uint16) (netip.AddrPort, error) {
	ap, err := tryPort(a, want)
	if err != nil && want != 0 {
		ap, err = tryPort(a, 0)
	}
	return ap, err
}

func tryPort(a netip.Addr, port uint16) (netip.AddrPort, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, port)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
