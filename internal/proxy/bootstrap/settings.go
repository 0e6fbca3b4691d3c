package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Local gives the machine's own settings; zero without any.
func Local(b *bootstrapv3.Bootstrap) sidecar.Local {
	l, _ := local(b.GetLayeredRuntime()) // supported has refused bad ones
	return l
}

func local(r *bootstrapv3.LayeredRuntime) (l sidecar.Local, err error) {
	for i, layer := range r.GetLayers() {
		if layer.GetName() != sidecar.Layer {
			continue
		}
		js, err := json.Marshal(layer.GetStaticLayer().GetFields()["usher"].AsInterface())
		if err != nil {
			return l, err
		}
		d := json.NewDecoder(bytes.NewReader(js))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			return l, strict.AtIndex("layers", i, strict.At("static_layer.usher", err))
		}
	}
	return l, nil
}

// XDS gives "host:port" of the mesh's control plane, "" if there is none.
func XDS(b *bootstrapv3.Bootstrap) string { return Address(b, sidecar.XDSCluster) }

// ADS names the cluster that resources come from, "" if they come from nowhere, and tells
// whether the server is spoken to in the state-of-the-world variant of the protocol.
func ADS(b *bootstrapv3.Bootstrap) (cluster string, world bool) {
	a := b.GetDynamicResources().GetAdsConfig()
	if len(a.GetGrpcServices()) == 0 {
		return "", false
	}
	return a.GetGrpcServices()[0].GetEnvoyGrpc().GetClusterName(), a.GetApiType() == corev3.ApiConfigSource_GRPC
}

// Address gives "host:port" of the first endpoint of a static cluster, "" if there
// is none.
func Address(b *bootstrapv3.Bootstrap, cluster string) string {
	for _, c := range b.GetStaticResources().GetClusters() {
		if c.GetName() != cluster {
			continue
		}
		for _, l := range c.GetLoadAssignment().GetEndpoints() {
			for _, e := range l.GetLbEndpoints() {
				if a, err := hostPort(e.GetEndpoint().GetAddress()); err == nil {
					return a
				}
			}
		}
	}
	return ""
}

// Admin gives "ip:port" of the admin address, "" if there is none.
func Admin(b *bootstrapv3.Bootstrap) string {
	if b.GetAdmin() == nil {
		return ""
	}
	a, _ := adminAddress(b.GetAdmin().GetAddress())
	return a
}

// adminAddress gives "ip:port" of loopback, or the path of a Unix socket, whose mode is
// always 0600.
func adminAddress(a *corev3.Address) (string, error) {
	if p := a.GetPipe(); p != nil {
		if err := strict.Only(p, "path", "mode"); err != nil {
			return "", strict.At("pipe", err)
		}
		if !filepath.IsAbs(p.GetPath()) {
			return "", strict.Errorf("pipe.path", "%q is not an absolute path", p.GetPath())
		}
		if m := p.GetMode(); m != 0 && m != 0o600 {
			return "", strict.Errorf("pipe.mode", "%#o: others could ask, too: %w (want 0600)", m, strict.ErrUnsupported)
		}
		return p.GetPath(), nil
	}
	at, err := hostPort(a)
	if err != nil {
		return "", err
	}
	if ip, _ := netip.ParseAddr(a.GetSocketAddress().GetAddress()); !ip.IsLoopback() {
		return "", strict.Errorf("socket_address.address", "%s is not an address of loopback, and anybody who reaches it could ask: take 127.0.0.1 or a Unix socket (pipe)", ip)
	}
	return at, nil
}

// AdminAllows tells which paths may be asked for at Admin over TCP, nil if all may.
func AdminAllows(b *bootstrapv3.Bootstrap) func(path string) bool {
	f, _ := allows(b.GetAdmin()) // supported has refused bad ones
	return f
}

func allows(a *bootstrapv3.Admin) (func(path string) bool, error) {
	if len(a.GetAllowPaths()) == 0 {
		return nil, nil
	}
	var any []match.String
	for i, m := range a.GetAllowPaths() {
		s, err := match.CompileString(m)
		if err != nil {
			return nil, strict.AtIndex("allow_paths", i, err)
		}
		any = append(any, s)
	}
	return func(path string) bool {
		return slices.ContainsFunc(any, func(s match.String) bool { return s(path) })
	}, nil
}

// Source gives the address that upstream calls come from; invalid if any will do.
func Source(b *bootstrapv3.Bootstrap) netip.Addr {
	a, _ := ip(b.GetClusterManager().GetUpstreamBindConfig().GetSourceAddress())
	return a
}

func hostPort(a *corev3.Address) (string, error) {
	if err := strict.Only(a, "socket_address"); err != nil {
		return "", err
	}
	s := a.GetSocketAddress()
	if s == nil {
		return "", errors.New("no socket_address")
	}
	if _, err := ip(s); err != nil {
		return "", strict.At("socket_address", err)
	}
	return net.JoinHostPort(s.GetAddress(), strconv.Itoa(int(s.GetPortValue()))), nil
}

func ip(s *corev3.SocketAddress) (netip.Addr, error) {
	if s == nil {
		return netip.Addr{}, errors.New("missing")
	}
	if err := strict.Only(s, "address", "port_value", "protocol"); err != nil {
		return netip.Addr{}, err
	}
	if s.GetProtocol() != corev3.SocketAddress_TCP {
		return netip.Addr{}, strict.Errorf("protocol", "%w", strict.ErrUnsupported)
	}
	if s.GetPortValue() > 65535 {
		return netip.Addr{}, strict.Errorf("port_value", "%d is not a port", s.GetPortValue())
	}
	a, err := netip.ParseAddr(s.GetAddress())
	if err != nil {
		return netip.Addr{}, strict.At("address", fmt.Errorf("%q is not an IP address", s.GetAddress()))
	}
	return a, nil
}
