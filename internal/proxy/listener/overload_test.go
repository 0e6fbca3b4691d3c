package listener_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/test/harness"
)

// overloaded gives the state of a manager with that action, at full pressure.
func overloaded(t *testing.T, action string) *overload.State {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pressure")
	if err := os.WriteFile(name, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := new(overloadv3.OverloadManager)
	proxytest.Decode(t, `{refresh_interval: 0.005s, resource_monitors: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig, filename: `+name+`}}],
		actions: [{name: envoy.overload_actions.`+action+`, triggers: [{name: f, threshold: {value: 1}}]}]}`, c)
	m, err := overload.Compile(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); m.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	s := m.State()
	harness.Eventually(t, 10*time.Second, "the manager has looked", func() (bool, any) {
		return s.Stopped() != nil || s.Requests.Hit() || s.KeepAlive.Hit() || s.Connections.Hit(), nil
	})
	return s
}

// unconnected waits until the last connection has ended.
func (p *proxy) unconnected(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, "no connection is left", func() (bool, any) { return p.Connections() == 0, p.Connections() })
}

// TestOverloadedHTTP2 holds that streams are answered 503, and that a connection whose
// answers are to be the last gets a GOAWAY.
func TestOverloadedHTTP2(t *testing.T) {
	p := newProxy(t, nil)
	p.opts.Overload = overloaded(t, "stop_accepting_requests")
	p.cluster(staticCluster("up", backend(t, told), ""))
	p.start(plainListener(""))
	rs, err := client2(t).Get("http://" + p.addr)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(rs.Body)
	if rs.Body.Close(); rs.StatusCode != 503 || string(b) != "envoy overloaded" {
		t.Error(rs.StatusCode, string(b))
	}

	p = newProxy(t, nil)
	p.opts.Overload = overloaded(t, "disable_http_keepalive")
	p.cluster(staticCluster("up", backend(t, told), ""))
	var dials int
	c := client2(t)
	tr := c.Transport.(*http.Transport)
	tr.DialContext = func(ctx context.Context, n, a string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, n, a)
	}
	p.start(plainListener(""))
	for range 3 {
		rs, err := c.Get("http://" + p.addr)
		if err != nil || rs.StatusCode != 200 {
			t.Fatal(rs, err)
		}
		io.Copy(io.Discard, rs.Body)
		rs.Body.Close()
		p.unconnected(t)
	}
	if dials != 3 {
		t.Errorf("%d connections for three requests", dials)
	}
}

// TestStoppedAccepting holds that who waits is served when the listener is told to end.
func TestStoppedAccepting(t *testing.T) {
	p := newProxy(t, nil)
	p.opts.Overload = overloaded(t, "stop_accepting_connections")
	p.cluster(staticCluster("up", backend(t, told), ""))
	p.start(plainListener(""))
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !os.IsTimeout(err) {
		t.Fatal(n, err)
	}
	p.Stop(0)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(c)
	if !strings.Contains(string(b), "HTTP/1.1 200 ") {
		t.Errorf("%q %v", b, err)
	}
}

// TestConnectionLimit holds that one connection too many is closed, after the delay, and
// that places come free; both in front of HTTP and of TCP.
func TestConnectionLimit(t *testing.T) {
	for name, last := range map[string]string{
		"http": manager(`route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}`, ""),
		"tcp":  "\n  - name: tcp\n    typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: up}",
	} {
		set := &counters.Set{}
		p := newProxy(t, nil)
		p.opts.Counters = set
		p.cluster(staticCluster("up", backend(t, told), ""))
		p.start("name: l\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:\n" +
			"  - name: limit\n    typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit, stat_prefix: x, max_connections: 1, delay: 0.05s}" + last)
		ask := func() (net.Conn, error) {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			_, err = io.ReadFull(c, make([]byte, 12))
			return c, err
		}
		first, err := ask()
		if err != nil {
			t.Fatal(name, err)
		}
		began := time.Now()
		if _, err := ask(); err == nil || time.Since(began) < 50*time.Millisecond {
			t.Errorf("%s: the second is served, or closed at once: %v", name, err)
		}
		var limited uint64
		for _, v := range set.List() {
			if v.Name.Name == "limited_connections" {
				limited = v.Value
			}
		}
		if limited != 1 {
			t.Errorf("%s: counted %d", name, limited)
		}
		first.Close()
		p.unconnected(t)
		if _, err := ask(); err != nil {
			t.Errorf("%s: after the first has gone: %v", name, err)
		}
	}
}
