package mirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/jwks"
)

// Policy says which addresses are never asked. Link-local, multicast and
// unspecified ones never are.
type Policy struct {
	// UsherPorts lists usher's own listeners; Issuer alone of them may be asked.
	UsherPorts func() []netip.AddrPort
	Issuer     netip.AddrPort
	// Loopback allows loopback addresses (`usher up`).
	Loopback bool
}

const (
	dialTimeout = 5 * time.Second
	maxDials    = 3 // endpoints of a mesh service that one fetch tries
)

// metadataService are addresses outside the link-local ranges where clouds give
// out credentials.
var metadataService = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba Cloud
}

// nat64 leads to the IPv4 address in its last 32 bits (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Check refuses an address that must not be asked for keys.
func (p Policy) Check(to netip.AddrPort) error {
	a := to.Addr().Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	to = netip.AddrPortFrom(a, to.Port())
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return fmt.Errorf("%s is no address to ask", to)
	case a.IsLinkLocalUnicast() || metadataService[a]:
		return fmt.Errorf("%s is link-local, which is never asked for keys", to)
	case a.IsMulticast():
		return fmt.Errorf("%s is multicast", to)
	case p.Issuer.IsValid() && to == unmap(p.Issuer):
		return nil
	case p.own(to):
		return fmt.Errorf("%s is a port of usher's own", to)
	case a.IsLoopback() && !p.Loopback:
		return fmt.Errorf("%s is loopback, which the mesh does not allow", to)
	}
	return nil
}

// forbidden is a refusal of the policy.
type forbidden struct{ error }

// Is says that the error is jwks.ErrForbidden.
func (forbidden) Is(target error) bool { return target == jwks.ErrForbidden }

// own tells whether one of our listeners would take a connection to the address.
func (p Policy) own(to netip.AddrPort) bool {
	if p.UsherPorts == nil {
		return false
	}
	for _, l := range p.UsherPorts() {
		l = unmap(l)
		if l.Port() != to.Port() {
			continue
		}
		if l.Addr() == to.Addr() {
			return true
		}
		if l.Addr().IsUnspecified() && (to.Addr().IsLoopback() || local(to.Addr())) {
			return true
		}
	}
	return false
}

// local tells whether the address is one of this machine; in doubt, yes.
func local(a netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, x := range addrs {
		n, ok := x.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
			return true
		}
	}
	return false
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// dial connects to a mesh service's endpoint, else by name. The policy judges the
// address that the socket is about to connect to, so no answer of a name server
// can change between the check and the use.
func (m *Mirror) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:  dialTimeout,
		Resolver: m.o.DNS,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if err := m.o.Allow.Check(to); err != nil {
				return forbidden{err}
			}
			return nil
		},
	}
	eps, ok := m.resolve(addr)
	if !ok {
		return d.DialContext(ctx, network, addr)
	}
	err := errNoEndpoints
	for n, i := range rand.Perm(len(eps)) {
		if n == maxDials || ctx.Err() != nil {
			break
		}
		var c net.Conn
		if c, err = d.DialContext(ctx, network, eps[i].String()); err == nil {
			return c, nil
		}
	}
	return nil, err
}
