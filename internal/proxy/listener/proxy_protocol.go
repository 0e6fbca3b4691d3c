package listener

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ppv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	"github.com/pires/go-proxyproto"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// proxyProtocol is the compiled listener filter: who connects says, in front of all
// else, for whom (HAProxy's PROXY protocol, versions 1 and 2). Whoever can connect to
// such a listener is believed.
type proxyProtocol struct {
	optional bool    // connections without it are served too
	refused  [3]bool // by version, also where the header is optional
	pass     *upstream.PassTLVs
}

func compileProxyProtocol(m *ppv3.ProxyProtocol) (*proxyProtocol, error) {
	if err := strict.Only(m, "allow_requests_without_proxy_protocol", "disallowed_versions", "stat_prefix", "pass_through_tlvs"); err != nil {
		return nil, err
	}
	p := &proxyProtocol{optional: m.GetAllowRequestsWithoutProxyProtocol()}
	for i, v := range m.GetDisallowedVersions() {
		switch v {
		case corev3.ProxyProtocolConfig_V1:
			p.refused[1] = true
		case corev3.ProxyProtocolConfig_V2:
			p.refused[2] = true
		default:
			return nil, strict.AtIndex("disallowed_versions", i, strict.Errorf("", "%d: %w", v, strict.ErrUnsupported))
		}
	}
	if p.refused[1] && p.refused[2] {
		return nil, strict.Errorf("disallowed_versions", "all of them")
	}
	var err error
	p.pass, err = upstream.CompilePassTLVs(m.GetPassThroughTlvs())
	return p, strict.At("pass_through_tlvs", err)
}

// told is what a header says. Addresses are not valid where it names none: then those
// of the connection hold.
type told struct {
	remote, local netip.AddrPort
	tlvs          []exchange.TLV // that may be passed on; nil: there was no header
	first         []byte         // what was read behind it
}

// headerBuffer is enough for what is read at once in front of it; the library bounds
// the header itself.
const headerBuffer = 512

// read takes the header off the connection.
func (p *proxyProtocol) read(c net.Conn, timeout time.Duration) (t told, err error) {
	c.SetReadDeadline(time.Now().Add(timeout))
	defer c.SetReadDeadline(time.Time{})
	r := bufio.NewReaderSize(c, headerBuffer)
	h, err := proxyproto.Read(r)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && p.optional && r.Buffered() > 0:
	case err != nil:
		return t, err
	case p.refused[h.Version]:
		return t, fmt.Errorf("version %d is not allowed", h.Version)
	case h.Command.IsLocal() || h.TransportProtocol.IsUnspec(): // by itself, such as to ask for health
		t.tlvs = []exchange.TLV{}
	default:
		from, to, ok := h.TCPAddrs()
		if !ok {
			return t, errors.New("not about TCP")
		}
		if t.remote, t.local = addrPort(from), addrPort(to); !unicast(t.remote.Addr()) || !unicast(t.local.Addr()) {
			return t, errors.New("not of one machine")
		}
		if t.tlvs, err = p.passed(h); err != nil {
			return t, err
		}
	}
	if n := r.Buffered(); n > 0 {
		t.first = make([]byte, n)
		_, err = r.Read(t.first)
		return t, err
	}
	return t, nil
}

// passed gives the TLVs of a header that are passed on.
func (p *proxyProtocol) passed(h *proxyproto.Header) (out []exchange.TLV, err error) {
	all, err := h.TLVs()
	out = []exchange.TLV{}
	for _, t := range all {
		if p.pass.Has(byte(t.Type)) {
			out = append(out, exchange.TLV{Type: byte(t.Type), Value: string(t.Value)})
		}
	}
	return out, err
}

// unicast tells whether TCP can be spoken with the address.
func unicast(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
