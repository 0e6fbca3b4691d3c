package originaldst

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// at has a listener listen elsewhere, with more of its fields in YAML.
func at(t *testing.T, address, more string, l beside.Object) beside.Object {
	t.Helper()
	l["address"].(beside.Object)["socket_address"].(beside.Object)["address"] = address
	return with(t, l, more)
}

// by has a listener's filters for connections made to one destination alone.
func by(t *testing.T, l beside.Object, match string, other beside.Object) beside.Object {
	t.Helper()
	var m beside.Object
	beside.Read(t, match, &m)
	chain := other["filter_chains"].(beside.List)[0].(beside.Object)
	chain["filter_chain_match"], chain["name"] = m, match
	l["filter_chains"] = append(beside.List{chain}, l["filter_chains"].(beside.List)...)
	return l
}

const (
	filter  = `listener_filters: [{name: original, typed_config: {"@type": TYPESfilters.listener.original_dst.v3.OriginalDst}}]`
	hands   = `use_original_dst: true`
	unbound = `bind_to_port: false`
)

// TestSameRedirects compares which listener serves redirected connections, which destination
// its chains, filters and logs see, and where clusters of type ORIGINAL_DST send them.
func TestSameRedirects(t *testing.T) {
	needRedirects(t)
	ports := harness.FreePorts(t, 2)
	up := ports[0]
	servers(t, false, up, "127.0.0.1", "::1")
	servers(t, false, kept, "127.0.0.2", "127.0.0.3")
	servers(t, false, handed, "127.0.0.2")
	servers(t, false, handed+1, "127.0.0.2")
	w := &world{admin: ports[1]}
	w.clusters = clusters(t, fmt.Sprintf(`
  - {name: original, ORIGINAL, cleanup_interval: 3600s, upstream_bind_config: {source_address: {address: %s, port_value: 0}}}
  - {name: moved, ORIGINAL, cleanup_interval: 3600s, original_dst_lb_config: {upstream_port_override: %d}}`, exempt, up))
	w.clusters = append(w.clusters, beside.Cluster("up", up, false))
	destination := func(rule string) string {
		return strings.ReplaceAll(`http_filters: [{name: rbac, typed_config: {"@type": TYPESfilters.http.rbac.v3.RBAC, rules: {action: DENY, policies: {p: {
			principals: [{any: true}], permissions: [{`+rule+`}]}}}}}]`, "TYPES", beside.Types)
	}
	number := func(n int) string { return fmt.Sprint(n) }
	w.listeners = beside.List{
		// Who looks for another listener.
		at(t, "0.0.0.0", hands, web(t, "capture", toHanded, "original", "")),
		at(t, "::", hands, web(t, "capture6", toHanded, "moved", "")),
		at(t, "127.0.0.5", unbound, web(t, "exact", handed+10, "up", "")),
		at(t, "0.0.0.0", unbound, web(t, "any", handed+10, "up", "")),
		web(t, "bound", handed+11, "up", ""),
		at(t, "::", unbound, web(t, "any6", handed+12, "up", "")),
		at(t, "::", unbound, web(t, "both", handed+13, "up", "")),
		at(t, "0.0.0.0", unbound, web(t, "any4", handed+14, "up", "")),
		with(t, web(t, "again", handed+15, "up", ""), unbound+"\n"+hands),
		with(t, web(t, "told", handed+16, "up", ""), unbound+"\n"+proxied),
		at(t, "0.0.0.0", unbound, bytes("bytes", handed+1, "original")),
		at(t, "0.0.0.0", unbound+"\n"+filter, web(t, "denies", handed+17, "up", destination("destination_port: "+number(handed+17)))),
		at(t, "0.0.0.0", unbound, web(t, "denies-ip", handed+18, "up", destination("destination_ip: {address_prefix: 127.0.0.4, prefix_len: 32}"))),
		// Who keeps all.
		by(t, by(t, at(t, "0.0.0.0", filter, web(t, "kept", toKept, "original", "")),
			"destination_port: "+number(kept+1), web(t, "by-port", 1, "up", "")),
			"prefix_ranges: [{address_prefix: 127.0.0.8, prefix_len: 32}]", web(t, "by-address", 1, "up", "")),
		at(t, "::", filter, web(t, "kept6", toKept, "moved", "")),
	}
	w.listeners[6].(beside.Object)["address"].(beside.Object)["socket_address"].(beside.Object)["ipv4_compat"] = true
	for _, x := range []struct {
		ip   string
		port int
	}{
		{"127.0.0.2", handed}, {"127.0.0.5", handed + 10}, {"127.0.0.9", handed + 10}, {"127.0.0.1", handed + 11}, {"127.0.0.2", handed + 1},
		{"127.0.0.3", handed + 12}, {"::1", handed + 12}, {"127.0.0.3", handed + 13}, {"::1", handed + 13}, {"127.0.0.3", handed + 14}, {"::1", handed + 14},
		{"127.0.0.1", handed + 15}, {"127.0.0.1", handed + 17}, {"127.0.0.4", handed + 18}, {"127.0.0.9", handed + 18}, {"127.0.0.3", handed + 50}, {"::1", handed + 50},
		{"127.0.0.2", kept}, {"127.0.0.3", kept}, {"127.0.0.9", kept}, {"127.0.0.9", kept + 1}, {"127.0.0.8", kept}, {"127.0.0.8", kept + 1}, {"::1", kept},
	} {
		to := fmt.Sprintf("%s:%d", x.ip, x.port)
		if strings.Contains(x.ip, ":") {
			to = fmt.Sprintf("[%s]:%d", x.ip, x.port)
		}
		w.asks = append(w.asks, ask{to: to})
		if x.port != handed+1 {
			w.asks = append(w.asks, ask{to: to, http2: true})
		}
	}
	w.asks = append(w.asks, ask{to: fmt.Sprintf("127.0.0.1:%d", handed+16), proxy: "PROXY TCP4 127.0.0.9 127.0.0.4 1 7\r\n"})
	for _, l := range []string{"0.0.0.0_21000", "[__]_21000", "127.0.0.5_20010", "0.0.0.0_20010", "127.0.0.1_20011", "[__]_20013", "127.0.0.1_20016", "0.0.0.0_21100"} {
		w.counters = append(w.counters, "listener."+l+".downstream_cx_total")
	}
	w.compare(t)
}

// echo answers each connection with the bytes that it began with, in front of a request.
func echo(t *testing.T) (port int) {
	t.Helper()
	return beside.ServeTCP(t, func(c net.Conn) {
		var all []byte
		for b := make([]byte, 1024); !strings.HasSuffix(string(all), "\r\n\r\n") || !strings.Contains(string(all), "GET "); {
			n, err := c.Read(b)
			if all = append(all, b[:n]...); err != nil {
				return
			}
		}
		before, _, _ := strings.Cut(string(all), "GET ")
		text := fmt.Sprintf("%q", before)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	})
}

// TestSameTold compares what of a PROXY protocol header an upstream hears, also of a connection
// that was handed on.
func TestSameTold(t *testing.T) {
	needRedirects(t)
	w := &world{admin: harness.FreePorts(t, 1)[0]}
	telling := beside.Cluster("telling", echo(t), false)
	w.clusters = beside.List{with(t, telling, `transport_socket: {name: told, typed_config: {"@type": TYPEStransport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport,
  config: {version: V2, pass_through_tlvs: {match_type: INCLUDE_ALL}}, transport_socket: {name: raw, typed_config: {"@type": TYPEStransport_sockets.raw_buffer.v3.RawBuffer}}}}`)}
	all := `listener_filters: [{name: pp, typed_config: {"@type": TYPESfilters.listener.proxy_protocol.v3.ProxyProtocol, pass_through_tlvs: {match_type: INCLUDE_ALL}}}]`
	w.listeners = beside.List{at(t, "0.0.0.0", hands+"\n"+all, bytes("capture", toTold, "telling")), with(t, bytes("heir", told+1, "telling"), unbound)}
	for port, differs := range map[int]string{told: "usher tells the destination before the redirect, as it logs it", told + 1: ""} {
		w.asks = append(w.asks, ask{to: fmt.Sprintf("127.0.0.1:%d", port), differs: differs, proxy: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x12\x07\x07\x07\x07\x08\x08\x08\x08\x00\x05\x01\xbb\xe0\x00\x03abc"})
	}
	w.compare(t)
}

// TestOwnAddress: netfilter tells the address of a connection that nobody has redirected, too.
// That is no destination for a cluster of type ORIGINAL_DST, and not in place of the one that
// the PROXY protocol tells. Envoy goes round in circles with the one, and hands the other to
// itself.
func TestOwnAddress(t *testing.T) {
	needRedirects(t)
	ports := harness.FreePorts(t, 4)
	servers(t, false, ports[3], "127.0.0.2")
	to := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	w := &world{admin: ports[0], clusters: clusters(t, "[{name: original, ORIGINAL}]"),
		listeners: beside.List{with(t, web(t, "kept", ports[1], "original", ""), filter), with(t, web(t, "told", ports[2], "original", ""), hands+"\n"+proxied)},
		asks:      []ask{{to: to(ports[1])}, {to: to(ports[2]), proxy: fmt.Sprintf("PROXY TCP4 127.0.0.9 127.0.0.2 1 %d\r\n", ports[3])}}}
	got, _ := w.run(t, beside.Programs(t)[1])
	for i, want := range []string{"kept 503 UH no_healthy_upstream", fmt.Sprintf("told 200 - via_upstream up 127.0.0.2:%d", ports[3])} {
		if !strings.Contains(got[i], want) {
			t.Errorf("%s: %s, want %s", w.asks[i].to, got[i], want)
		}
	}
}
