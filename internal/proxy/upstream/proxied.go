package upstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ppv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// proxied says how connections begin that tell for whom they are
// (envoy.transport_sockets.upstream_proxy_protocol, HAProxy's PROXY protocol).
type proxied struct {
	version int
	pass    *PassTLVs
	added   []exchange.TLV
	long    *atomic.Int64 // counts headers that there was no room for
}

// compileSocket compiles a transport socket: what is encrypted, and what is told before.
// Either may be nil.
func (c *Cluster) compileSocket(s *corev3.TransportSocket) (*tls.Upstream, *proxied, error) {
	m := new(ppv3.ProxyProtocolUpstreamTransport)
	if !s.GetTypedConfig().MessageIs(m) {
		u, err := tls.CompileUpstream(s, c.opts.Secrets)
		return u, nil, err
	}
	if err := strict.Only(s, "name", "typed_config"); err != nil {
		return nil, nil, err
	}
	if err := strict.Unpack(s.GetTypedConfig(), m); err != nil {
		return nil, nil, strict.At("typed_config", err)
	}
	if err := strict.Only(m, "config", "transport_socket"); err != nil {
		return nil, nil, strict.At("typed_config", err)
	}
	if m.GetTransportSocket() == nil {
		return nil, nil, strict.Errorf("typed_config.transport_socket", "missing")
	}
	u, err := tls.CompileUpstream(m.GetTransportSocket(), c.opts.Secrets)
	if err != nil {
		return nil, nil, strict.At("typed_config.transport_socket", err)
	}
	p, err := compileProxied(m.GetConfig())
	if err != nil {
		return nil, nil, strict.At("typed_config.config", err)
	}
	p.long = c.counter("upstream.proxyprotocol.v2_tlvs_exceed_max_length", false)
	return u, p, nil
}

func compileProxied(m *corev3.ProxyProtocolConfig) (*proxied, error) {
	if err := strict.Only(m, "version", "pass_through_tlvs", "added_tlvs"); err != nil {
		return nil, err
	}
	switch m.GetVersion() {
	case corev3.ProxyProtocolConfig_V1:
		for name, set := range map[string]bool{"pass_through_tlvs": m.GetPassThroughTlvs() != nil, "added_tlvs": len(m.GetAddedTlvs()) > 0} {
			if set {
				return nil, strict.Errorf(name, "version 1 has none")
			}
		}
		return &proxied{version: 1}, nil
	case corev3.ProxyProtocolConfig_V2:
	default:
		return nil, strict.Errorf("version", "%d: %w", m.GetVersion(), strict.ErrUnsupported)
	}
	p := &proxied{version: 2}
	var err error
	if p.pass, err = CompilePassTLVs(m.GetPassThroughTlvs()); err != nil {
		return nil, strict.At("pass_through_tlvs", err)
	}
	p.added, err = CompileTLVs(m.GetAddedTlvs())
	return p, strict.At("added_tlvs", err)
}

// hostTLVs gives the TLVs that an endpoint's metadata adds, encoded.
func hostTLVs(m *corev3.Metadata) (string, error) {
	const name = "envoy.transport_sockets.proxy_protocol"
	any := m.GetTypedFilterMetadata()[name]
	if any == nil {
		return "", nil
	}
	at := func(err error) error { return strict.At("metadata.typed_filter_metadata["+name+"]", err) }
	p := new(corev3.PerHostConfig)
	if err := strict.Unpack(any, p); err != nil {
		return "", at(err)
	}
	list, err := CompileTLVs(p.GetAddedTlvs())
	if err != nil {
		return "", at(strict.At("added_tlvs", err))
	}
	return string(appendTLVs(nil, list)), nil
}

// errNoAddress is a client whose address cannot be told. A connection that says nothing
// would pass for the proxy's own.
var errNoAddress = errors.New("the PROXY protocol cannot tell the client's addresses")

// errLongHeader is one that version 2 has no room for.
var errLongHeader = errors.New("the PROXY protocol has no room for the client's TLVs")

// signature2 begins headers of version 2.
const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// append appends the header of connections for a client. TLVs of the host go before those of
// the socket, and these before the client's own: what has a type of an earlier kind is left out.
func (p *proxied) append(b []byte, client *exchange.Conn, host string) ([]byte, error) {
	from, to := client.Remote, client.Local
	if !from.IsValid() || !to.IsValid() {
		return nil, errNoAddress
	}
	if p.version == 1 {
		return append1(b, from, to), nil
	}
	start := len(b)
	b = append(append(b, signature2...), 0x21)
	if from.Addr().Is4() && to.Addr().Is4() {
		f, t := from.Addr().As4(), to.Addr().As4()
		b = append(append(append(b, 0x11, 0, 0), f[:]...), t[:]...)
	} else {
		f, t := from.Addr().As16(), to.Addr().As16()
		b = append(append(append(b, 0x21, 0, 0), f[:]...), t[:]...)
	}
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, from.Port()), to.Port())
	var seen [256]bool
	b = append(b, host...)
	for rest := host; rest != ""; rest = rest[3+int(rest[1])<<8+int(rest[2]):] {
		seen[rest[0]] = true
	}
	b = p.appendTLVs(b, p.added, &seen)
	var passed []exchange.TLV
	for _, t := range client.TLVs {
		if p.pass.Has(t.Type) {
			passed = append(passed, t)
		}
	}
	b = p.appendTLVs(b, passed, &seen)
	size := len(b) - start - len(signature2) - 4
	if size > 1<<16-1 {
		return nil, errLongHeader
	}
	binary.BigEndian.PutUint16(b[start+len(signature2)+2:], uint16(size))
	return b, nil
}

// appendTLVs appends those of types that were not seen before.
func (p *proxied) appendTLVs(b []byte, list []exchange.TLV, seen *[256]bool) []byte {
	before := *seen
	for _, t := range list {
		if !before[t.Type] {
			b = appendTLVs(b, []exchange.TLV{t})
			seen[t.Type] = true
		}
	}
	return b
}

func append1(b []byte, from, to netip.AddrPort) []byte {
	f, t, family := from.Addr(), to.Addr(), "TCP4"
	if !f.Is4() || !t.Is4() {
		f, t, family = netip.AddrFrom16(f.As16()), netip.AddrFrom16(t.As16()), "TCP6"
	}
	return fmt.Appendf(b, "PROXY %s %s %s %d %d\r\n", family, f, t, from.Port(), to.Port())
}

// own is the header of the proxy's own connections, such as checks of health: as in Envoy,
// version 1 tells the connection's own addresses.
func (p *proxied) own(nc *net.TCPConn) []byte {
	if p.version == 2 {
		return []byte(signature2 + "\x20\x00\x00\x00")
	}
	return append1(nil, exchange.AddrPort(nc.LocalAddr()), exchange.AddrPort(nc.RemoteAddr()))
}
