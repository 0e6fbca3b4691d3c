package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/pires/go-proxyproto"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/test/harness"
)

// tells is a transport socket of the PROXY protocol.
func tells(config string) string {
	return `, transport_socket: {name: envoy.transport_sockets.upstream_proxy_protocol, typed_config: {
		"@type": type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport, config: ` + config + `,
		transport_socket: {name: envoy.transport_sockets.raw_buffer}}}`
}

// toldServer answers with whom the connection is for.
func toldServer(t *testing.T, http2 bool) (port string, conns *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int64)
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }),
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateNew {
				conns.Add(1)
			}
		}}
	s.Protocols.SetHTTP1(!http2)
	s.Protocols.SetUnencryptedHTTP2(http2)
	go s.Serve(&proxyproto.Listener{Listener: ln})
	t.Cleanup(func() { s.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port, conns
}

func client(n int) *exchange.Conn {
	return &exchange.Conn{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(1024+n)), Local: netip.MustParseAddrPort("198.51.100.1:443")}
}

// ask sends a request for a client, and gives what the host was told.
func ask(ctx context.Context, h *Host, of *exchange.Conn) (string, error) {
	conn, err := h.Get(ctx, time.Time{}, false, From{Major: 1, Client: of})
	if err != nil {
		return "", err
	}
	rq := post(1)
	if err = conn.W.Request(rq, false); err == nil {
		err = conn.W.Flush()
	}
	var a *Answer
	if err == nil {
		a, err = conn.answer(rq.Method, atMost(100))
	}
	conn.Put(err == nil && conn.KeepAlive())
	if err != nil {
		return "", err
	}
	return string(a.Body), nil
}

func only(t *testing.T, c *Cluster) *Host {
	t.Helper()
	h, err := c.Pick(t.Context(), Ask{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestClientsShareNoConnection: of many clients at once each is told of by itself, over
// connections that it uses again.
func TestClientsShareNoConnection(t *testing.T) {
	const clients, each = 12, 20
	for _, version := range []string{"{}", "{version: V2}"} {
		for _, http2 := range []bool{false, true} {
			port, conns := toldServer(t, http2)
			more := tells(version)
			if http2 {
				more += over2
			}
			c := cluster(t, "{name: c, type: STATIC"+more+"}")
			set(t, c, port)
			h := only(t, c)
			var all sync.WaitGroup
			for n := range clients {
				for range 2 { // goroutines a client
					all.Go(func() {
						for range each {
							if got, err := ask(t.Context(), h, client(n)); err != nil || got != client(n).Remote.String() {
								t.Errorf("%s, HTTP/2 %v: client %d: %q, %v", version, http2, n, got, err)
							}
						}
					})
				}
			}
			all.Wait()
			if got, err := ask(t.Context(), h, nil); err != nil || !strings.HasPrefix(got, "127.0.0.1:") {
				t.Errorf("%s: the proxy's own request: %q, %v", version, got, err)
			}
			if n := conns.Load(); n > 2*clients+1 || http2 && n != clients+1 {
				t.Errorf("%s, HTTP/2 %v: %d connections of %d clients", version, http2, n, clients)
			}
			c.Close()
			harness.Eventually(t, 10*time.Second, "pools end with their connections", func() (bool, any) {
				n := len(h.clients.all())
				return n == 0, n
			})
		}
	}
}

// TestTLVsShareNoConnection: what is told besides the addresses counts as well.
func TestTLVsShareNoConnection(t *testing.T) {
	port, conns := toldServer(t, false)
	c := cluster(t, "{name: c, type: STATIC"+tells("{version: V2, pass_through_tlvs: {}}")+"}")
	set(t, c, port)
	h := only(t, c)
	for i, value := range []string{"", "a", "b", "a"} {
		of := client(1)
		if value != "" {
			of.TLVs = []exchange.TLV{{Type: 0xe0, Value: value}}
		}
		if _, err := ask(t.Context(), h, of); err != nil {
			t.Fatal(err)
		}
		if want := min(int64(i)+1, 3); conns.Load() != want {
			t.Errorf("request %d: %d connections, want %d", i, conns.Load(), want)
		}
	}
}

// TestClientsAreBounded: the pool that was used longest ago goes, and is not used again.
func TestClientsAreBounded(t *testing.T) {
	c := clientsOf(&proxied{version: 1}, "")
	var first *pool
	for n := range maxClients + 10 {
		of := client(1)
		of.Remote = netip.AddrPortFrom(of.Remote.Addr(), uint16(n))
		p, err := c.hold(of, false, Default)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = p
		}
		if len(c.pools) > maxClients || c.recent.Len() != len(c.pools) {
			t.Fatalf("%d pools, %d in order", len(c.pools), c.recent.Len())
		}
		if n > 0 {
			defer p.letGo()
		}
	}
	if !first.draining {
		t.Error("connections of a forgotten pool are kept")
	}
	again, _ := c.hold(&exchange.Conn{Remote: netip.AddrPortFrom(client(1).Remote.Addr(), 0), Local: client(1).Local}, false, Default)
	if again == first {
		t.Error("a forgotten pool is used again")
	}
	first.letGo()
	if c.pools[again.key] == nil {
		t.Error("the end of a forgotten pool ends the one in its place")
	}
	again.letGo()
	if c.pools[again.key] != nil {
		t.Error("a pool that nobody holds stays")
	}
}

// TestForgottenClientsEnd: the connections of a pool that goes are closed, which the pool hears.
func TestForgottenClientsEnd(t *testing.T) {
	port, conns := toldServer(t, false)
	c := cluster(t, "{name: c, type: STATIC"+tells("{}")+"}")
	set(t, c, port)
	h := only(t, c)
	if _, err := ask(t.Context(), h, client(0)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for n := range maxClients {
			of := client(1)
			of.Remote = netip.AddrPortFrom(of.Remote.Addr(), uint16(n))
			p, err := h.clients.hold(of, false, Default)
			if err != nil {
				ended <- err
				return
			}
			defer p.letGo()
		}
		_, err := ask(t.Context(), h, client(0))
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil || conns.Load() != 2 {
			t.Errorf("%v, %d connections", err, conns.Load())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the host serves nobody any more")
	}
}

// TestClientsGiveWay: connections of others that nobody uses do not keep a client from
// connecting, those in use do.
func TestClientsGiveWay(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		port, _ := toldServer(t, http2)
		more := tells("{}") + ", circuit_breakers: {thresholds: [{max_connections: 1}]}"
		if http2 {
			more += over2
		}
		c := cluster(t, "{name: c, type: STATIC"+more+"}")
		set(t, c, port)
		h := only(t, c)
		for n := range 3 {
			if got, err := ask(t.Context(), h, client(n)); err != nil || got != client(n).Remote.String() {
				t.Errorf("HTTP/2 %v: client %d: %q, %v", http2, n, got, err)
			}
		}
		used, err := h.Get(t.Context(), time.Time{}, false, From{Major: 1, Client: client(7)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), h, client(8)); err != ErrOverflow {
			t.Errorf("HTTP/2 %v: beside a connection in use: %v", http2, err)
		}
		used.Put(false)
	}
}

// TestClientsGiveWayToTheirOwn: connections of one priority are not closed for requests of the
// other, whose bounds they do not count for.
func TestClientsGiveWayToTheirOwn(t *testing.T) {
	port, _ := toldServer(t, false)
	c := cluster(t, "{name: c, type: STATIC"+tells("{}")+", circuit_breakers: {thresholds: [{max_connections: 1}, {priority: HIGH, max_connections: 1}]}}")
	set(t, c, port)
	h := only(t, c)
	if _, err := ask(t.Context(), h, client(0)); err != nil {
		t.Fatal(err)
	}
	used, err := h.Get(t.Context(), time.Time{}, false, From{Major: 1, Client: client(1), Priority: High})
	if err != nil {
		t.Fatal(err)
	}
	defer used.Put(false)
	if _, err := h.Get(t.Context(), time.Time{}, false, From{Major: 1, Client: client(2), Priority: High}); err != ErrOverflow {
		t.Errorf("beside a connection in use: %v", err)
	}
	if n := c.breakers[Default].conns.Load(); n != 1 {
		t.Errorf("%d connections of the other priority are left", n)
	}
}

// TestClientsGiveWayAtOtherHosts: where the cluster may have no more connections, unused ones
// to another host give way.
func TestClientsGiveWayAtOtherHosts(t *testing.T) {
	for breakers, want := range map[string]error{
		"thresholds: [{max_connections: 1}]":                                              nil,
		"thresholds: [{max_connections: 1}], per_host_thresholds: [{max_connections: 1}]": nil,
		"thresholds: [{max_connections: 8}], per_host_thresholds: [{max_connections: 1}]": nil,
		"thresholds: [{max_connections: 1}], per_host_thresholds: [{max_connections: 0}]": ErrOverflow,
	} {
		a, _ := toldServer(t, false)
		b, _ := toldServer(t, false)
		c := cluster(t, "{name: c, type: STATIC"+tells("{}")+", circuit_breakers: {"+breakers+"}}")
		set(t, c, a+" "+b)
		for i, h := range c.Hosts() {
			if _, err := ask(t.Context(), h, client(i)); err != want {
				t.Errorf("%s: host %d: %v, want %v", breakers, i, err, want)
			}
		}
	}
}

// TestUntellable: a client that cannot be told of gets no connection, which would pass for
// the proxy's own, and the host is not blamed.
func TestUntellable(t *testing.T) {
	port, conns := toldServer(t, false)
	set32 := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32<<10-3)))
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, `{name: c, type: STATIC`+tells("{version: V2, pass_through_tlvs: {}, added_tlvs: [{type: 225, value: "+set32+"}]}")+"}", m)
	all := new(counters.Set)
	c, err := Compile(m, Options{Counters: all})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	set(t, c, port)
	h := only(t, c)
	long := client(1)
	long.TLVs = []exchange.TLV{{Type: 1, Value: strings.Repeat("y", 16<<10)}, {Type: 2, Value: strings.Repeat("y", 16<<10)}}
	for want, of := range map[error]*exchange.Conn{errLongHeader: long, errNoAddress: {Local: client(1).Local}} {
		var blamed *ConnectError
		if _, err := h.Get(t.Context(), time.Time{}, false, From{Major: 1, Client: of}); !errors.Is(err, want) || errors.As(err, &blamed) {
			t.Errorf("a request: %v, want %v", err, want)
		}
		if _, err := h.Connect(t.Context(), of, Default); !errors.Is(err, want) || errors.As(err, &blamed) {
			t.Errorf("a connection: %v, want %v", err, want)
		}
	}
	if conns.Load() != 0 || c.breakers[Default].conns.Load() != 0 || c.breakers[Default].active.Load() != 0 || h.active.Load() != 0 {
		t.Errorf("%d connections, %d counted, %d requests", conns.Load(), c.breakers[Default].conns.Load(), c.breakers[Default].active.Load())
	}
	name := counters.Name{Scope: counters.Cluster, Of: "c", Name: "upstream.proxyprotocol.v2_tlvs_exceed_max_length"}
	if n := all.Of(name).Load(); n != 2 {
		t.Errorf("%d counted, want 2", n)
	}
}

func TestProxiedRefused(t *testing.T) {
	const at = "transport_socket.typed_config."
	for config, want := range map[string]string{
		"{version: 7}":                                           "config.version: 7: not supported",
		"{added_tlvs: [{type: 1}]}":                              "config.added_tlvs: version 1 has none",
		"{pass_through_tlvs: {}}":                                "config.pass_through_tlvs: version 1 has none",
		"{version: V2, added_tlvs: [{type: 256}]}":               "config.added_tlvs[0].type: above 255",
		"{version: V2, pass_through_tlvs: {tlv_type: [1, 256]}}": "config.pass_through_tlvs.tlv_type[1]: above 255",
		"{version: V2, added_tlvs: [{type: 1, format_string: {text_format_source: {inline_string: a}}}]}": "config.added_tlvs[0].format_string: not supported",
		"{}, tlv_as_pool_key: true": "tlv_as_pool_key: not supported",
		fmt.Sprintf("{version: V2, added_tlvs: [{type: 1}, {type: 1, value: %s}]}", base64.StdEncoding.EncodeToString(make([]byte, 32<<10))): "config.added_tlvs[1].value: more than 32768 bytes in all",
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, "{name: c, type: STATIC"+tells(config)+"}", m)
		if _, err := Compile(m, Options{}); err == nil || err.Error() != at+want {
			t.Errorf("%.99s:\n%v, want\n%s", config, err, at+want)
		}
	}
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, strings.Replace("{name: c, type: STATIC"+tells("{}")+"}", "transport_socket: {name: envoy.transport_sockets.raw_buffer}", "transport_socket: null", 1), m)
	if _, err := Compile(m, Options{}); err == nil || err.Error() != at+"transport_socket: missing" {
		t.Error(err)
	}
	proxytest.Decode(t, `{name: c, type: STATIC, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}},
		metadata: {typed_filter_metadata: {envoy.transport_sockets.proxy_protocol: {"@type": type.googleapis.com/envoy.config.core.v3.PerHostConfig, added_tlvs: [{type: 300}]}}}}]}]}}`, m)
	if _, err := Compile(m, Options{}); err == nil || !strings.HasSuffix(err.Error(), "lb_endpoints[0].metadata.typed_filter_metadata[envoy.transport_sockets.proxy_protocol].added_tlvs[0].type: above 255") {
		t.Error(err)
	}
}
