package hcm

import (
	"crypto/x509"
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func insideOf(prefix string, bits uint32) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{InternalAddressConfig: &hcmv3.HttpConnectionManager_InternalAddressConfig{
		CidrRanges: []*corev3.CidrRange{{AddressPrefix: prefix, PrefixLen: wrapperspb.UInt32(bits)}}}}
}

// TestInside: who may say how the proxy is to treat his requests.
func TestInside(t *testing.T) {
	const edge, peer, foreign, hop = 1, 2, 4, 8
	for _, c := range []struct {
		how       int
		from, xff string
		want      bool
	}{
		{edge, "10.0.0.1", "", true}, {edge, "::ffff:10.0.0.1", "", true}, {edge, "11.0.0.1", "", false}, {edge, "10.0.0.1", "10.0.0.2", false},
		{edge | peer, "11.0.0.1", "10.0.0.2", false}, {peer, "11.0.0.1", "10.0.0.2", true}, {peer, "10.0.0.1", "11.0.0.1", false},
		{peer, "10.0.0.1", "", false}, {peer, "10.0.0.1", "10.0.0.2, 10.0.0.3", false}, {peer, "10.0.0.1", "10.0.0.2:80", false},
		{0, "10.0.0.1", "10.0.0.2", false}, {peer | foreign, "10.0.0.1", "10.0.0.2", false}, {peer | hop, "10.0.0.1", "10.0.0.2", false},
	} {
		m := &Manager{useRemote: c.how&edge != 0}
		if err := m.insideAddresses(insideOf("10.9.9.9", 8)); err != nil {
			t.Fatal(err)
		}
		if c.how&hop != 0 {
			m.trustedHops = 1
		}
		x := &exchange.Exchange{Conn: &exchange.Conn{Remote: netip.AddrPortFrom(netip.MustParseAddr(c.from), 1), Foreign: c.how&foreign != 0}}
		if c.how&peer != 0 {
			x.Conn.Peer = new(x509.Certificate)
		}
		if c.xff != "" {
			x.Request.Header.Add("x-forwarded-for", c.xff)
		}
		if got := m.inside(x); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if m.internal = nil; m.inside(x) {
			t.Errorf("%+v: inside of nothing", c)
		}
	}
}

// TestInsideRefused: what is no network is refused.
func TestInsideRefused(t *testing.T) {
	for _, c := range []*hcmv3.HttpConnectionManager{insideOf("here", 8), insideOf("10.0.0.0", 33), insideOf("::", 129), insideOf("::", 1<<31),
		{InternalAddressConfig: &hcmv3.HttpConnectionManager_InternalAddressConfig{UnixSockets: true}}} {
		if err := new(Manager).insideAddresses(c); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}
