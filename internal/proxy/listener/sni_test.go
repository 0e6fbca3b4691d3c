package listener_test

import (
	ctls "crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestPassThrough: TLS goes by its server name, unopened, to whom the name stands for.
func TestPassThrough(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(t, uriB, time.Now().Add(time.Hour))
	says := func(word string) string {
		return proxytest.Serve(t, func(_ int, raw net.Conn) {
			c := ctls.Server(raw, &ctls.Config{Certificates: []ctls.Certificate{*cert}, NextProtos: []string{"x"}})
			if c.Handshake() != nil {
				return
			}
			fmt.Fprint(c, word, " ", c.ConnectionState().ServerName)
			c.Close()
		})
	}
	p := newProxy(t, nil)
	text := "name: l\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nlistener_filters: [{name: i, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}]\nfilter_chains:\n"
	for _, c := range []struct{ cluster, match string }{
		{"one", `{server_names: [one.example]}`},
		{"wild", `{server_names: ["*.example"]}`},
		{"alpn", `{transport_protocol: tls, application_protocols: [x]}`},
	} {
		p.cluster(staticCluster(c.cluster, says(c.cluster), ""))
		text += "- filter_chain_match: " + c.match + "\n  filters: [{name: tcp, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: " + c.cluster + "}}]\n"
	}
	p.start(text)
	for _, tt := range []struct {
		name string
		alpn []string
		want string
	}{
		{"one.example", nil, "one one.example"},
		{"ONE.example", nil, "one ONE.example"},
		{"two.example", nil, "wild two.example"},
		{"a.b.example", []string{"x"}, "wild a.b.example"},
		{"other.test", []string{"y", "x"}, "alpn other.test"},
		{"other.test", nil, ""},
		{"example", nil, ""},
	} {
		c := ctls.Client(dialClear(t, p.addr), &ctls.Config{ServerName: tt.name, NextProtos: tt.alpn, InsecureSkipVerify: true})
		b, err := io.ReadAll(c)
		if string(b) != tt.want || tt.want != "" && err != nil {
			t.Errorf("%s %v: %q %v", tt.name, tt.alpn, b, err)
		}
	}
	if got := raw(t, p.addr, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n"); got != "" {
		t.Errorf("in clear: %q", got)
	}
}
