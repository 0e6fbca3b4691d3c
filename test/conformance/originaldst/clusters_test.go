package originaldst

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

const proxied = `listener_filters: [{name: pp, typed_config: {"@type": TYPESfilters.listener.proxy_protocol.v3.ProxyProtocol}}]`

// state has requests sent where a field of theirs says, by a filter's word.
const state = `{name: state, typed_config: {"@type": TYPESfilters.http.set_filter_state.v3.Config, on_request_headers: [{
  object_key: envoy.network.transport_socket.original_dst_address, format_string: {text_format_source: {inline_string: "%REQ(x-state)%"}}, skip_if_empty: true}]}}`

// metadata does so by dynamic metadata, which tell what an authorization server answers.
const metadata = `{name: envoy.filters.http.ext_authz, typed_config: {"@type": TYPESfilters.http.ext_authz.v3.ExtAuthz, http_service: {
  server_uri: {uri: a, cluster: auth, timeout: 5s}, authorization_request: {allowed_headers: {patterns: [{exact: x-meta}]}},
  authorization_response: {dynamic_metadata_from_headers: {patterns: [{exact: x-to}]}}}}}`

// TestSameDestinations compares where requests and connections go, by their fields, what
// filters say and what the PROXY protocol tells.
func TestSameDestinations(t *testing.T) {
	at := harness.FreePorts(t, 3)
	up, secure, admin := at[0], at[1], at[2]
	servers(t, false, up, "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1")
	servers(t, true, secure, "127.0.0.2")
	auth := beside.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.Header.Get("X-Meta"); to != "" {
			w.Header().Set("X-To", to)
		}
	}), false)
	w := &world{admin: admin}
	w.clusters = clusters(t, `
  - {name: plain, ORIGINAL, cleanup_interval: 3600s}
  - {name: header, ORIGINAL, cleanup_interval: 3600s, original_dst_lb_config: {use_http_header: true}}
  - {name: other, ORIGINAL, original_dst_lb_config: {use_http_header: true}}
  - {name: named, ORIGINAL, original_dst_lb_config: {use_http_header: true, http_header_name: X-To}}
  - {name: port, ORIGINAL, original_dst_lb_config: {use_http_header: true, upstream_port_override: `+fmt.Sprint(up)+`}}
  - {name: all, ORIGINAL, original_dst_lb_config: {use_http_header: true, metadata_key: {key: envoy.filters.http.ext_authz, path: [{key: x-to}]}}}
  - {name: http2, ORIGINAL, original_dst_lb_config: {use_http_header: true}, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      "@type": TYPESupstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}}
  - {name: secure, ORIGINAL, original_dst_lb_config: {use_http_header: true}, transport_socket: {name: tls, typed_config: {"@type": TYPEStransport_sockets.tls.v3.UpstreamTlsContext}}}
  - {name: full, ORIGINAL, original_dst_lb_config: {use_http_header: true}, circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 0}]}}`)
	w.clusters = append(w.clusters, beside.Cluster("auth", auth, false))
	ports := map[string]string{}
	add := func(name string, make func(port int) beside.Object) {
		port := harness.FreePorts(t, 1)[0]
		ports[name] = fmt.Sprintf("127.0.0.1:%d", port)
		w.listeners = append(w.listeners, make(port))
	}
	for _, name := range []string{"plain", "header", "named", "port", "http2", "secure", "full", "other"} {
		add(name, func(port int) beside.Object { return web(t, name, port, name, "") })
	}
	both := strings.ReplaceAll("http_filters: ["+state+", "+metadata+"]", "TYPES", beside.Types)
	add("all", func(port int) beside.Object { return web(t, "all", port, "all", both) })
	add("unasked", func(port int) beside.Object { return web(t, "unasked", port, "plain", both) })
	add("edge", func(port int) beside.Object { return web(t, "edge", port, "other", "use_remote_address: true") })
	add("proxied", func(port int) beside.Object { return with(t, web(t, "proxied", port, "plain", ""), proxied) })
	add("proxied-header", func(port int) beside.Object { return with(t, web(t, "proxied-header", port, "header", ""), proxied) })
	add("proxied-port", func(port int) beside.Object { return with(t, web(t, "proxied-port", port, "port", ""), proxied) })
	add("bytes", func(port int) beside.Object { return bytes("bytes", port, "plain") })
	add("proxied-bytes", func(port int) beside.Object { return with(t, bytes("proxied-bytes", port, "header"), proxied) })

	to := func(listener string, header ...string) {
		w.asks = append(w.asks, ask{to: ports[listener], header: header})
	}
	const field = "x-envoy-original-dst-host: "
	for _, value := range []string{"127.0.0.1:UP", "127.0.0.2:UP", "[::1]:UP", "[::ffff:127.0.0.1]:UP", "127.0.0.3:0UP", "0.0.0.0:UP", "[::]:UP", "127.0.0.9:UP",
		"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "127.1:UP", "127.0.0.01:UP", "0177.0.0.1:UP", "2130706433:UP", "[127.0.0.1]:UP", "::1:UP", "[::1%lo]:UP",
		"[::1]:UPx", "localhost:UP", "127.0.0.1:UP,127.0.0.2:UP", "a:b@127.0.0.1:UP", ":UP", "[]:UP", "/tmp/socket", "127.0.0.1:UP/", strings.Repeat("1", 2000) + ":UP"} {
		to("header", field+strings.ReplaceAll(value, "UP", fmt.Sprint(up)))
	}
	addr := func(n int) string { return fmt.Sprintf("127.0.0.%d:%d", n, up) }
	to("header")
	to("header", field+addr(3), field+addr(4))
	to("header", field+"no", field+addr(4))
	to("plain", field+addr(1))
	to("named", "x-to: "+addr(4))
	to("named", field+addr(4))
	to("port", field+"127.0.0.2:1")
	to("all", field+addr(1), "x-meta: "+addr(2), "x-state: "+addr(3))
	to("all", field+addr(1), "x-meta: "+addr(2))
	to("all", field+addr(1), "x-meta: "+addr(2), "x-state: no")
	to("all", field+addr(1), "x-meta: no")
	to("all", "x-meta: no")
	to("all", field+"no", "x-meta: no")
	to("all", field+"no", "x-meta: no", "x-state: "+addr(3))
	to("unasked", "x-state: "+addr(3))
	to("unasked", field+addr(1), "x-meta: "+addr(2))
	to("http2", field+addr(2))
	to("http2")
	to("secure", field+fmt.Sprintf("127.0.0.2:%d", secure))
	to("secure", field+addr(2)) // where nobody speaks TLS
	w.asks = append(w.asks, ask{to: ports["full"], header: []string{field + addr(2)}, differs: "usher logs the host that it did not ask"})
	for _, listener := range []string{"proxied", "proxied-header", "proxied-bytes"} {
		port := ports[listener][strings.IndexByte(ports[listener], ':')+1:]
		for _, tell := range []string{fmt.Sprintf("TCP4 127.0.0.9 127.0.0.4 1 %d", up), fmt.Sprintf("TCP6 ::2 ::1 1 %d", up), "TCP4 127.0.0.9 127.0.0.1 1 " + port, "UNKNOWN"} {
			for _, header := range [][]string{nil, {field + "no"}, {field + addr(2)}} {
				w.asks = append(w.asks, ask{to: ports[listener], proxy: "PROXY " + tell + "\r\n", header: header})
			}
		}
	}
	w.asks = append(w.asks, ask{to: ports["proxied-port"], proxy: "PROXY TCP4 127.0.0.9 127.0.0.4 1 7\r\n"})
	to("bytes")
	for i := range w.asks { // a host that is known, and other streams
		if w.asks[i].proxy == "" && len(w.asks[i].header) < 2 && w.asks[i].to != ports["bytes"] {
			a := w.asks[i]
			a.http2 = true
			w.asks = append(w.asks, a)
		}
	}
	w.asks = append(w.asks,
		ask{to: ports["other"], header: []string{field + "127.0.0.1:+" + fmt.Sprint(up)}, differs: "usher takes digits alone"},
		ask{to: ports["edge"], header: []string{field + addr(2)}, differs: "usher drops at an edge what clients say of Envoy's"},
		ask{to: ports["other"], header: []string{fmt.Sprintf("%s127.0.0.1:%d", field, admin)}, differs: "usher lets nobody ask its own administration"})
	w.counters = []string{"cluster.header.upstream_cx_none_healthy", "cluster.plain.upstream_cx_none_healthy",
		"cluster.all.original_dst_host_invalid", "cluster.named.upstream_cx_none_healthy", "cluster.full.upstream_rq_pending_overflow"}
	w.compare(t)
}

// TestSameCleanup compares that hosts go once they have no connection.
func TestSameCleanup(t *testing.T) {
	at := harness.FreePorts(t, 3)
	up, admin, port := at[0], at[1], at[2]
	servers(t, false, up, "127.0.0.2", "127.0.0.3")
	w := &world{admin: admin, listeners: beside.List{with(t, bytes("bytes", port, "c"), proxied)}, clusters: clusters(t, "[{name: c, ORIGINAL, cleanup_interval: 0.2s}]")}
	for _, p := range beside.Programs(t) {
		_, stop := w.start(t, p)
		hosts := func(want int) {
			t.Helper()
			harness.Eventually(t, 20*time.Second, fmt.Sprintf("%s has %d hosts", p.Path, want), func() (bool, any) {
				_, body := beside.Page(t, admin, "/clusters")
				return strings.Count(body, "::hostname::c127.0.0.") == want, body
			})
		}
		open := func(n int) net.Conn {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			fmt.Fprintf(c, "PROXY TCP4 127.0.0.9 127.0.0.%d 1 %d\r\n", n, up)
			return c
		}
		one, other := open(2), open(3)
		hosts(2)
		one.Close()
		hosts(1)
		other.Close()
		hosts(0)
		again := open(2)
		hosts(1)
		again.Close()
		hosts(0)
		stop()
	}
}
