package listener

import (
	"net/netip"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// compileChains makes a spec of chains that are told apart by the cluster they name.
func compileChains(t *testing.T, matches ...string) (*Spec, error) {
	t.Helper()
	var b strings.Builder
	b.WriteString("name: l\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n")
	for _, m := range matches {
		name, m, _ := strings.Cut(m, " ")
		b.WriteString("- name: " + name + "\n  filter_chain_match: " + m + "\n  filters: [{name: tcp, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: x}}]\n")
	}
	return Compile(proxytest.Decode(t, b.String(), new(listenerv3.Listener)), Options{})
}

// TestFind: criterion by criterion, the most specific value wins, without going back.
func TestFind(t *testing.T) {
	s, err := compileChains(t,
		`port {destination_port: 8443}`,
		`name {server_names: [a.example.com]}`,
		`wild {server_names: ["*.example.com"]}`,
		`tls {transport_protocol: tls}`,
		`h2 {transport_protocol: tls, application_protocols: [h2]}`,
		`net {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}`,
		`host {prefix_ranges: [{address_prefix: 10.1.1.1, prefix_len: 32}]}`,
		`near {source_type: SAME_IP_OR_LOOPBACK}`,
		`far {source_type: EXTERNAL, source_prefix_ranges: [{address_prefix: 192.168.0.0, prefix_len: 16}]}`,
		`farport {source_type: EXTERNAL, source_prefix_ranges: [{address_prefix: 192.168.0.0, prefix_len: 16}], source_ports: [7, 8]}`,
		`lb {direct_source_prefix_ranges: [{address_prefix: 172.16.0.0, prefix_len: 12}]}`,
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		local, remote, direct, transport, sni, alpn, want string
	}{
		{"1.1.1.1:8443", "2.2.2.2:1", "", "tls", "a.example.com", "h2", "port"},
		{"1.1.1.1:1", "2.2.2.2:1", "", "tls", "a.example.com", "h2", "name"},
		{"1.1.1.1:1", "2.2.2.2:1", "", "tls", "b.example.com", "", "wild"},
		{"1.1.1.1:1", "2.2.2.2:1", "", "tls", "example.com", "", "tls"},
		{"1.1.1.1:1", "2.2.2.2:1", "", "tls", "", "h2", "h2"},
		{"1.1.1.1:1", "127.0.0.1:1", "", "tls", "", "", "tls"},
		{"10.2.2.2:1", "2.2.2.2:1", "", "raw_buffer", "", "", "net"},
		{"10.1.1.1:1", "2.2.2.2:1", "", "raw_buffer", "", "", "host"},
		{"[::ffff:10.1.1.1]:1", "2.2.2.2:1", "", "raw_buffer", "", "", "host"},
		{"1.1.1.1:1", "127.0.0.1:1", "", "raw_buffer", "", "", "near"},
		{"1.1.1.1:1", "1.1.1.1:1", "", "raw_buffer", "", "", "near"},
		{"1.1.1.1:1", "192.168.1.1:1", "", "raw_buffer", "", "", "far"},
		{"1.1.1.1:1", "192.168.1.1:8", "", "raw_buffer", "", "", "farport"},
		{"1.1.1.1:1", "192.168.1.1:8", "172.16.0.1:1", "raw_buffer", "", "", "lb"},
		{"1.1.1.1:1", "2.2.2.2:1", "", "raw_buffer", "", "", ""},
	} {
		if tt.direct == "" {
			tt.direct = tt.remote
		}
		f := facts{local: netip.MustParseAddrPort(tt.local), remote: netip.MustParseAddrPort(tt.remote), direct: netip.MustParseAddrPort(tt.direct),
			transport: tt.transport, sni: tt.sni, alpn: []string{tt.alpn}}
		got := ""
		if c := s.find(f); c != nil {
			got = c.place.Chain
		}
		if got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// TestAmbiguous: what a connection could be of two chains is refused, as by Envoy.
func TestAmbiguous(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{`a {}`, `b {}`, "filter_chains[1].filter_chain_match: a connection could be filter_chains[0]'s as well"},
		{`a {server_names: [x.y, z.y]}`, `b {server_names: [z.y]}`, "filter_chains[1].filter_chain_match: "},
		{`a {server_names: [x.y]}`, `b {server_names: [z.y]}`, ""},
		{`a {server_names: [x.y]}`, `b {server_names: [x.y], transport_protocol: tls}`, ""},
		{`a {prefix_ranges: [{address_prefix: 10.0.0.1, prefix_len: 8}]}`, `b {prefix_ranges: [{address_prefix: 10.9.9.9, prefix_len: 8}]}`, "filter_chains[1]"},
		{`a {source_ports: [1, 2]}`, `b {source_ports: [2, 3]}`, "filter_chains[1]"},
		{`a {source_type: EXTERNAL}`, `b {}`, ""},
		{`a {source_ports: [70000]}`, `b {}`, "filter_chains[0].filter_chain_match.source_ports[0]: not a port"},
		{`a {source_prefix_ranges: [{address_prefix: 10.0.0.1, prefix_len: 33}]}`, `b {}`, "filter_chains[0].filter_chain_match.source_prefix_ranges[0].prefix_len: too long"},
		{`a {source_type: 7}`, `b {}`, "filter_chains[0].filter_chain_match.source_type: 7: not supported"},
		{`a {address_suffix: x}`, `b {}`, "filter_chains[0].filter_chain_match.address_suffix: not supported"},
	} {
		_, err := compileChains(t, tt.a, tt.b)
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s, %s: %v", tt.a, tt.b, err)
		}
	}
}
