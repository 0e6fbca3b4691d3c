package hcm

import (
	"net/netip"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// TestDisguised: what the proxy says itself cannot be said with underscores.
func TestDisguised(t *testing.T) {
	for name, want := range map[string]bool{
		"x_forwarded_client_cert": true, "x-forwarded_for": true, "x_envoy_original_path": true, "x_request_id": true,
		"x-forwarded-client-cert": false, "x_user": false, "user_agent": false, "": false,
	} {
		if disguised(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// TestNamedClient: of what stands in X-Forwarded-For the trusted proxy's own word alone counts,
// as an address like a connection's; without it there is nobody named.
func TestNamedClient(t *testing.T) {
	for _, c := range []struct {
		hops          uint32
		forwarded, is string
	}{
		{1, "", ""}, {1, " , ", ""}, {1, "203.0.113.9,", ""}, {1, "203.0.113.9, x", ""}, {1, "203.0.113.9:80", ""}, {1, "[2001:db8::1]", ""},
		{1, "203.0.113.9,198.51.100.7", "198.51.100.7"}, {1, "198.51.100.7", "198.51.100.7"},
		{2, "198.51.100.7", ""}, {2, "203.0.113.9, 198.51.100.7", "203.0.113.9"}, {2, "192.0.2.1,203.0.113.9 ,x", "203.0.113.9"},
		{1 << 31, "203.0.113.9,198.51.100.7", ""},
		{1, "::ffff:203.0.113.9", "203.0.113.9"}, {1, "2001:db8::1", "2001:db8::1"}, {1, `fe80::1%x" 200`, "fe80::1"},
	} {
		want, _ := netip.ParseAddr(c.is)
		if got := (&Manager{trustedHops: c.hops}).client(c.forwarded); got != want {
			t.Errorf("%d hops, %q: %v", c.hops, c.forwarded, got)
		}
	}
}

// TestForwarded: who asks, and by which scheme, is what a proxy in front says if it is trusted,
// and the connection's otherwise.
func TestForwarded(t *testing.T) {
	const peer = "192.0.2.1"
	for _, tt := range []struct {
		m      *Manager
		inside bool
		tls    bool
		xff    []string
		proto  string

		client, remote, external, passed, scheme string
	}{
		{m: &Manager{useRemote: true}, xff: []string{"203.0.113.9"}, proto: "https", remote: peer, external: peer, passed: "203.0.113.9," + peer, scheme: "http"},
		{m: &Manager{useRemote: true}, tls: true, proto: "http", remote: peer, external: peer, passed: peer, scheme: "https"},
		{m: &Manager{useRemote: true}, inside: true, remote: peer, passed: peer, scheme: "http"},
		{m: &Manager{useRemote: true, skipXFFAppend: true}, xff: []string{"203.0.113.9"}, remote: peer, external: peer, passed: "203.0.113.9", scheme: "http"},
		{m: &Manager{useRemote: true, trustedHops: 1}, xff: []string{"198.51.100.7,203.0.113.9"}, proto: "https", client: "203.0.113.9", remote: "203.0.113.9", external: "203.0.113.9", passed: "198.51.100.7,203.0.113.9," + peer, scheme: "https"},
		{m: &Manager{useRemote: true, trustedHops: 2}, xff: []string{"198.51.100.7", "203.0.113.9"}, proto: "ftp", client: "198.51.100.7", remote: "198.51.100.7", external: "198.51.100.7", passed: "198.51.100.7,203.0.113.9," + peer, scheme: "http"},
		{m: &Manager{useRemote: true, trustedHops: 3}, xff: []string{"198.51.100.7", "203.0.113.9"}, remote: peer, external: peer, passed: "198.51.100.7,203.0.113.9," + peer, scheme: "http"},
		{m: &Manager{}, xff: []string{"203.0.113.9"}, proto: "https", remote: peer, passed: "203.0.113.9", scheme: "https"}, // a sidecar says nothing itself
		{m: &Manager{trustedHops: 1}, xff: []string{"203.0.113.9"}, remote: peer, passed: "203.0.113.9", scheme: "http"},
	} {
		x := &exchange.Exchange{Conn: &exchange.Conn{Remote: netip.MustParseAddrPort(peer + ":80"), TLS: tt.tls}}
		h := &x.Request.Header
		for _, v := range tt.xff {
			h.Add("x-forwarded-for", v)
		}
		if tt.proto != "" {
			h.Add("x-forwarded-proto", tt.proto)
		}
		(&session{m: tt.m, x: x}).forwarded(tt.inside)
		if want, _ := netip.ParseAddr(tt.client); x.Client != want || x.Remote().Addr().String() != tt.remote || h.Get("x-envoy-external-address") != tt.external ||
			h.Get("x-forwarded-for") != tt.passed || h.Get("x-forwarded-proto") != tt.scheme || x.Request.Scheme != tt.scheme {
			t.Errorf("%d hops, %q: client %v, remote %v, %v", tt.m.trustedHops, tt.xff, x.Client, x.Remote(), h.Fields())
		}
	}
}

// TestVia: who passes a message on stands behind those before, in one field.
func TestVia(t *testing.T) {
	for _, tt := range []struct {
		before []string
		want   string
	}{{nil, "1.1 me"}, {[]string{"1.0 a"}, "1.0 a, 1.1 me"}, {[]string{"1.0 a, 1.1 b", "2 c"}, "1.0 a, 1.1 b,2 c, 1.1 me"}} {
		var h exchange.Header
		for _, v := range tt.before {
			h.Add("via", v)
		}
		if addVia(&h, "1.1 me"); h.Get("via") != tt.want || h.Count("via") != 1 {
			t.Errorf("%q: %v", tt.before, h.Fields())
		}
	}
}
