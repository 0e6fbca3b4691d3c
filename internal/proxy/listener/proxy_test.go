package listener_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	"go.uber.org/goleak"

	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proxy is a running listener with its snapshot.
type proxy struct {
	testing.TB
	*listener.Listener
	addr string
	snap atomic.Pointer[snapshot.Snapshot]
	opts listener.Options
	up   upstream.Options
}

func newProxy(t testing.TB, secrets tls.Secrets) *proxy {
	p := &proxy{TB: t}
	p.snap.Store(&snapshot.Snapshot{Routes: map[string]*route.Table{}, Clusters: map[string]*upstream.Cluster{}})
	p.opts = listener.Options{Secrets: secrets, Snapshot: p.snap.Load}
	p.up = upstream.Options{Secrets: secrets}
	return p
}

func (p *proxy) cluster(text string) {
	p.Helper()
	m := new(clusterv3.Cluster)
	proxytest.Decode(p, text, m)
	c, err := upstream.Compile(m, p.up)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(c.Close)
	old := p.snap.Load()
	next := &snapshot.Snapshot{Routes: old.Routes, Clusters: map[string]*upstream.Cluster{c.Name: c}}
	for k, v := range old.Clusters {
		if k != c.Name {
			next.Clusters[k] = v
		}
	}
	p.snap.Store(next)
}

func (p *proxy) route(text string) {
	p.Helper()
	m := new(routev3.RouteConfiguration)
	proxytest.Decode(p, text, m)
	table, err := route.Compile(m, p.opts.Filters)
	if err != nil {
		p.Fatal(err)
	}
	old := p.snap.Load()
	next := &snapshot.Snapshot{Clusters: old.Clusters, Routes: map[string]*route.Table{m.GetName(): table}}
	for k, v := range old.Routes {
		if k != m.GetName() {
			next.Routes[k] = v
		}
	}
	p.snap.Store(next)
}

func (p *proxy) compile(text string) *listener.Spec {
	p.Helper()
	m := new(listenerv3.Listener)
	proxytest.Decode(p, text, m)
	s, err := listener.Compile(m, p.opts)
	if err != nil {
		p.Fatal(err)
	}
	return s
}

func (p *proxy) start(text string) *proxy {
	p.Helper()
	spec := p.compile(text)
	ln, err := net.Listen(spec.Network, spec.Address.String())
	if err != nil {
		p.Fatal(err)
	}
	l := listener.On(spec, ln)
	p.Listener, p.addr = l, l.Addr().String()
	p.Cleanup(l.Close)
	return p
}

// manager is an HttpConnectionManager of a route table and further settings.
func manager(routes, more string) string {
	return `
  - name: hcm
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: test
` + indent(routes, 6) + indent(more, 6) + `
      http_filters:
      - name: envoy.filters.http.router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`
}

func indent(s string, n int) string {
	var b strings.Builder
	for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
		if l != "" {
			b.WriteString(strings.Repeat(" ", n) + l + "\n")
		}
	}
	return b.String()
}

const toUp = `route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}`

func plainListener(more string) string {
	return "name: plain\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:\n" + indentKeep(manager(toUp, more))
}

func indentKeep(s string) string { return strings.TrimPrefix(s, "\n") }

func staticCluster(name, addr, more string) string {
	ap := netip.MustParseAddrPort(addr)
	return fmt.Sprintf(`
name: %s
type: STATIC
connect_timeout: 1s
load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}]}]}
%s`, name, name, ap.Addr(), ap.Port(), more)
}

func backend(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func client(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// raw sends bytes and gives what comes back until the peer closes or is silent.
func raw(t testing.TB, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(c)
	return string(all)
}

// one sends a request and reads one answer.
func one(t testing.TB, addr, text, method string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, text)
	rs, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(rs.Body)
	return rs, string(b)
}
