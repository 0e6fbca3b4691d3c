package listener_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"

	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// version2 is a header of that command and family about two addresses of IPv4.
func version2(command, family byte, from, to string, more int) string {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	h := append([]byte(signature2), 0x20|command, family)
	h = binary.BigEndian.AppendUint16(h, uint16(12+more))
	h = append(append(h, a.Addr().AsSlice()...), b.Addr().AsSlice()...)
	h = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(h, a.Port()), b.Port())
	return string(h) + strings.Repeat("\x00", more)
}

// TestProxyProtocol: the addresses that a header tells choose the chain and go into
// x-forwarded-for; who tells nothing, or nonsense, gets nothing.
func TestProxyProtocol(t *testing.T) {
	up := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "for "+r.Header.Get("X-Forwarded-For"))
	})
	start := func(filter string) string {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", up, ""))
		p.start("name: plain\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nlistener_filters:\n" +
			"- {name: pp, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol, " + filter + "}}\n" +
			"filter_chains:\n- filter_chain_match: {destination_port: 444, source_prefix_ranges: [{address_prefix: 9.0.0.0, prefix_len: 8}]}\n  filters:\n" +
			indentKeep(manager(`route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: "by its addresses"}}}]}]}`, "")) +
			"\ndefault_filter_chain:\n  filters:\n" + indentKeep(manager(toUp, "use_remote_address: true")))
		return p.addr
	}
	required, optional, only1 := start(""), start("allow_requests_without_proxy_protocol: true"), start("disallowed_versions: [V2]")
	optional1 := start("allow_requests_without_proxy_protocol: true, disallowed_versions: [V2]")
	for _, tt := range []struct{ name, addr, header, want string }{
		{"version 1", required, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n", "for 7.7.7.7"},
		{"version 1 over IPv6", required, "PROXY TCP6 2001:db8::1 2001:db8::2 5 443\r\n", "for 2001:db8::1"},
		{"unknown", required, "PROXY UNKNOWN\r\n", "for 127.0.0.1"},
		{"version 2", required, version2(1, 0x11, "7.7.7.7:5", "8.8.8.8:443", 0), "for 7.7.7.7"},
		{"version 2 with more", required, version2(1, 0x11, "7.7.7.7:5", "8.8.8.8:443", 300), "for 7.7.7.7"},
		{"by itself", required, version2(0, 0x11, "7.7.7.7:5", "8.8.8.8:443", 0), "for 127.0.0.1"},
		{"the chain", required, version2(1, 0x11, "9.7.7.7:5", "8.8.8.8:444", 0), "by its addresses"},
		{"about UDP", required, version2(1, 0x12, "7.7.7.7:5", "8.8.8.8:443", 0), ""},
		{"without", required, "", ""},
		{"version 3", required, strings.Replace(version2(1, 0x11, "7.7.7.7:5", "8.8.8.8:443", 0), "\n\x21", "\n\x31", 1), ""},
		{"too long", required, version2(1, 0x11, "7.7.7.7:5", "8.8.8.8:443", 5000), ""},
		{"no port", required, "PROXY TCP4 7.7.7.7 8.8.8.8 5 70000\r\n", ""},
		{"another family", required, "PROXY TCP4 ::1 ::2 5 443\r\n", ""},
		{"LF", required, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\n", ""},
		{"endless", required, "PROXY TCP4 " + strings.Repeat("7", 200), ""},
		{"without, allowed", optional, "", "for 127.0.0.1"},
		{"with, allowed", optional, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n", "for 7.7.7.7"},
		{"version 1 where 2 is not allowed", only1, "PROXY TCP4 7.7.7.7 8.8.8.8 5 443\r\n", "for 7.7.7.7"},
		{"version 2 where it is not allowed", only1, version2(1, 0x11, "7.7.7.7:5", "8.8.8.8:443", 0), ""},
		{"version 2 where it is not allowed, nor needed", optional1, version2(1, 0x11, "7.7.7.7:5", "8.8.8.8:443", 0), ""},
		{"of no machine", required, "PROXY TCP4 0.0.0.0 8.8.8.8 5 443\r\n", ""},
		{"to many", required, version2(1, 0x11, "7.7.7.7:5", "224.0.0.1:443", 0), ""},
		{"to all", required, "PROXY TCP4 7.7.7.7 255.255.255.255 5 443\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialClear(t, tt.addr)
			fmt.Fprintf(c, "%sGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", tt.header)
			b, _ := io.ReadAll(c)
			got := string(b)
			if tt.want == "" && got != "" || !strings.HasSuffix(got, tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestProxyProtocolOfNoVersion: a filter that could take no header is refused.
func TestProxyProtocolOfNoVersion(t *testing.T) {
	m := new(listenerv3.Listener)
	proxytest.Decode(t, `{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 0}}, listener_filters: [{name: pp, typed_config: {
		"@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol, disallowed_versions: [V2, V1]}}]}`, m)
	const want = "listener_filters[0].typed_config.disallowed_versions: all of them"
	if _, err := listener.Compile(m, listener.Options{}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
