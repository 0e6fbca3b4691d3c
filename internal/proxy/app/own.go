package app

import (
	"errors"
	"fmt"
	"net/netip"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
)

var errOwnPort = errors.New("a port of the mesh itself")

// notOwn refuses the ports of the control plane and of this proxy as destinations
// that an application names.
func notOwn(b *bootstrapv3.Bootstrap) func(netip.AddrPort) error {
	local := bootstrap.Local(b)
	own := map[netip.AddrPort]bool{}
	for _, s := range []string{bootstrap.XDS(b), local.CA, bootstrap.Admin(b), bootstrap.Address(b, sidecar.MirrorCluster)} {
		if a, err := netip.ParseAddrPort(s); err == nil {
			own[a] = true
		}
	}
	if o := b.GetNode().GetMetadata().GetFields()["USHER"].GetStructValue().GetFields()["outbound"].GetStringValue(); o != "" {
		if a, err := netip.ParseAddrPort(o); err == nil {
			own[a] = true
		}
	}
	ports := map[uint16]bool{}
	for a := range own {
		if a.Addr().IsLoopback() {
			ports[a.Port()] = true
		}
	}
	return func(to netip.AddrPort) error {
		to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
		// Every loopback address leads to a server that is bound to all of them.
		if own[to] || (to.Addr().IsLoopback() || to.Addr().IsUnspecified()) && ports[to.Port()] {
			return fmt.Errorf("%s: %w", to, errOwnPort)
		}
		return nil
	}
}
