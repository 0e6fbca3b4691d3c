package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/test/harness"
)

// TestTakeover: proxies take over from each other under load. No connection is refused
// or reset, no request fails, over HTTP/1.1, HTTP/2, mutual TLS and TCP and at the admin
// address; a websocket and a TCP connection stay with the proxy that they began at, to
// the end of its drain.
func TestTakeover(t *testing.T) {
	rounds := harness.Count(t, "proxies that take over under load", 50, 250)
	requests := harness.Count(t, "requests meanwhile, at least", 10_000, 1_100_000)
	w := newTakeovers(t)
	old := w.run()
	old.await("ready")
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range 4 {
		for name, f := range map[string]func(context.Context) error{
			"HTTP/1.1": func(ctx context.Context) error { return w.ask1(ctx, w.ports[0]) },
			"HTTP/2":   w.ask2,
			"mTLS":     func(ctx context.Context) error { return w.ask1(ctx, w.ports[1]) },
			"TCP":      w.echo,
		} {
			clients.Go(func() {
				if err := f(ctx); err != nil {
					t.Errorf("%s: %v", name, err)
					stop()
				}
			})
		}
	}
	clients.Go(func() {
		if err := w.ready(ctx); err != nil {
			t.Errorf("admin: %v", err)
			stop()
		}
	})
	var olds sync.WaitGroup
	for n := range rounds {
		w.reached(ctx, int64(requests)*int64(n)/int64(rounds))
		if ctx.Err() != nil {
			break
		}
		web, tcp := w.lasting(w.ports[0], true), w.lasting(w.ports[3], false)
		young := w.run()
		young.await("took over")
		for _, c := range []net.Conn{web, tcp} {
			if err := once(c); err != nil {
				t.Errorf("takeover %d: a connection that lasts: %v", n, err)
			}
		}
		select {
		case <-old.done:
			t.Errorf("takeover %d: the old proxy does not wait for what lasts\n%s", n, old.text())
		default:
		}
		last := old
		olds.Go(func() {
			last.ended()
			for _, c := range []net.Conn{web, tcp} {
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a connection outlives its proxy: %d %v", n, err)
				}
				c.Close()
			}
		})
		old = young
	}
	w.reached(ctx, int64(requests))
	stop()
	clients.Wait()
	old.c.Process.Signal(syscall.SIGTERM)
	old.ended()
	olds.Wait()
	t.Logf("%d requests were answered over %d takeovers, %d of them on a connection of their own", w.asked.Load(), rounds, w.fresh.Load())
}

// TestTakeoverFails: a successor that dies, says something else or is another user's
// leaves the old one serving.
func TestTakeoverFails(t *testing.T) {
	w := newTakeovers(t)
	old := w.run()
	old.await("ready")
	dial := func() *net.UnixConn {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: w.socket})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	say := func(c *net.UnixConn, text string) string {
		c.Write([]byte(text))
		buf := make([]byte, 8192)
		n, err := c.Read(buf)
		if errors.Is(err, syscall.ECONNRESET) { // it did not read all; what it said stands behind that
			n, err = c.Read(buf)
		}
		if err != nil {
			return err.Error()
		}
		return string(buf[:n])
	}
	serves := func(after string) {
		t.Helper()
		c := w.lasting(w.ports[0], true)
		defer c.Close()
		if err := once(c); err != nil {
			t.Errorf("after %s: %v\n%s", after, err, old.text())
		}
	}
	want := fmt.Sprintf(`{"version":1,"want":"tcp 127.0.0.1:%d"}`, w.ports[0])
	for name, text := range map[string]string{
		"no JSON": "GET / HTTP/1.1\r\n\r\n", "another version": `{"version":2,"ready":true}`,
		"nothing wanted": `{"version":1}`, "too much": `{"version":1,"want":"` + strings.Repeat("x", 8000) + `"}`,
	} {
		if got := say(dial(), text); !strings.Contains(got, "refused") {
			t.Errorf("%s: answered %s", name, got)
		}
		serves(name)
	}
	first := dial()
	if got := say(first, want); got != `{"found":true}` {
		t.Fatal(got)
	}
	if got := say(dial(), want); !strings.Contains(got, "another proxy takes over") {
		t.Errorf("a second one while one takes over: answered %s", got)
	}
	serves("a second one")
	first.Close() // dies with a socket in hand
	harness.Eventually(t, 10*time.Second, "the next may take over", func() (bool, any) {
		c := dial()
		defer c.Close()
		got := say(c, want)
		return got == `{"found":true}`, got
	})
	serves("one that died")

	// A proxy that cannot have its configuration: the port of a new listener is taken.
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, bytes.Replace(w.config, []byte(fmt.Sprint("port_value: ", w.ports[0], "}")),
		[]byte(fmt.Sprint("port_value: ", w.echoes, "}")), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 10*time.Second, "a successor without its ports ends", func() (bool, any) {
		out, err := exec.Command(w.bin, "-c", bad, "--takeover", w.socket).CombinedOutput()
		return err != nil && strings.Contains(string(out), "address already in use"), string(out)
	})
	serves("one that cannot bind")

	old.c.Process.Signal(syscall.SIGTERM)
	old.ended()
}

// takeovers are proxies with one configuration.
type takeovers struct {
	*testing.T
	bin, file, socket string
	config            []byte
	ports             []int // HTTP, the mTLS pair, TCP, admin
	echoes            int
	asked, fresh      atomic.Int64
}

func newTakeovers(t *testing.T) *takeovers {
	w := &takeovers{T: t, bin: harness.Bin(t, "usher-proxy"), ports: harness.FreePorts(t, 5)}
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.Copy(io.Discard, r.Body)
			io.WriteString(rw, "hello")
			return
		}
		c, b, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, b)
	}))
	t.Cleanup(up.Close)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { echo.Close() })
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	w.echoes = echo.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	ca := harness.ForeignCA(t)
	leaf := harness.Issue(t, ca, "spiffe://cluster.local/ns/a/sa/b", time.Now().Add(time.Hour))
	var chain []byte
	for _, der := range leaf.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := identity.EncodeKey(leaf.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	w.file, w.socket = filepath.Join(dir, "bootstrap.yaml"), filepath.Join(dir, "takeover")
	at := func(name string) string { return filepath.Join(dir, name) }
	tls := fmt.Sprintf(`{tls_certificates: [{certificate_chain: {filename: %s}, private_key: {filename: %s}}], validation_context: {trusted_ca: {filename: %s}, match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "spiffe://cluster.local/ns/a/sa/b"}}]}}`,
		at("leaf.pem"), at("key.pem"), at("ca.pem"))
	w.config = []byte(strings.NewReplacer("ADMIN", fmt.Sprint(w.ports[4]), "HTTP_PORT", fmt.Sprint(w.ports[0]), "FRONT", fmt.Sprint(w.ports[1]),
		"BACK", fmt.Sprint(w.ports[2]), "TCP_PORT", fmt.Sprint(w.ports[3]), "UPSTREAM", fmt.Sprint(harness.Port(t, up.Listener.Addr().String())),
		"ECHO", fmt.Sprint(w.echoes), "TLS", tls).Replace(takenOver))
	for name, data := range map[string][]byte{"leaf.pem": chain, "key.pem": key, "bootstrap.yaml": w.config,
		"ca.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]})} {
		if err := os.WriteFile(at(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// ask1 asks over HTTP/1.1 on connections that it leaves when it is told to.
func (w *takeovers) ask1(ctx context.Context, port int) error {
	for ctx.Err() == nil {
		w.fresh.Add(1)
		if err := askOn(ctx, fmt.Sprint("127.0.0.1:", port), &w.asked, func() {}); err != nil {
			return err
		}
	}
	return nil
}

func (w *takeovers) ask2(ctx context.Context) error {
	tr := transport2()
	defer tr.CloseIdleConnections()
	for ctx.Err() == nil {
		if err := get(tr, fmt.Sprint("127.0.0.1:", w.ports[0])); err != nil {
			return err
		}
		w.asked.Add(1)
	}
	return nil
}

// echo has short connections of TCP carried.
func (w *takeovers) echo(ctx context.Context) error {
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", w.ports[3]))
		if err != nil {
			return err
		}
		for range 5 {
			if err := once(c); err != nil {
				return err
			}
			w.asked.Add(1)
		}
		w.fresh.Add(1)
		c.Close()
	}
	return nil
}

func (w *takeovers) ready(ctx context.Context) error {
	tr := &http.Transport{DisableKeepAlives: true}
	now := time.NewTicker(2 * time.Millisecond)
	defer now.Stop()
	for ctx.Err() == nil {
		rq, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/ready", w.ports[4]), nil)
		rs, err := tr.RoundTrip(rq)
		if err != nil {
			return err
		}
		rs.Body.Close()
		if rs.StatusCode != 200 {
			return errors.New(rs.Status)
		}
		select {
		case <-ctx.Done():
		case <-now.C:
		}
	}
	return nil
}

// reached waits until so many requests were answered, or the load has ended.
func (w *takeovers) reached(ctx context.Context, asked int64) {
	w.Helper()
	harness.Eventually(w, 2*time.Minute, fmt.Sprint(asked, " requests"), func() (bool, any) {
		n := w.asked.Load()
		return n >= asked || ctx.Err() != nil, n
	})
}

// lasting opens a connection that goes on after a takeover: a websocket or plain TCP.
func (w *takeovers) lasting(port int, web bool) net.Conn {
	w.Helper()
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		w.Fatal(err)
	}
	if web {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		head := make([]byte, 1)
		var all []byte
		for !bytes.HasSuffix(all, []byte("\r\n\r\n")) {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := c.Read(head); err != nil {
				w.Fatalf("websocket: %v after %q", err, all)
			}
			all = append(all, head...)
		}
		if !bytes.HasPrefix(all, []byte("HTTP/1.1 101 ")) {
			w.Fatalf("websocket: %q", all)
		}
	}
	if err := once(c); err != nil {
		w.Fatal(err)
	}
	return c
}

// once has some bytes echoed.
func once(c net.Conn) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "echo"); err != nil {
		return err
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "echo" {
		return fmt.Errorf("echo: %q %w", buf, err)
	}
	return nil
}

// taker is one proxy.
type taker struct {
	w    *takeovers
	c    *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	log  bytes.Buffer
	more chan struct{}
}

func (w *takeovers) run() *taker {
	w.Helper()
	p := &taker{w: w, c: exec.Command(w.bin, "-c", w.file, "--takeover", w.socket, "--drain-time-s", "1"), done: make(chan struct{}), more: make(chan struct{}, 1)}
	out, err := p.c.StderrPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := p.c.Start(); err != nil {
		w.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.log.WriteString(s.Text() + "\n")
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}
		p.c.Wait()
		close(p.done)
	}()
	w.Cleanup(func() { p.c.Process.Kill(); <-p.done })
	return p
}

func (p *taker) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// await waits for a line of the log.
func (p *taker) await(line string) {
	p.w.Helper()
	limit := time.After(20 * time.Second)
	for !strings.Contains(p.text(), `msg="`+line) && !strings.Contains(p.text(), "msg="+line) {
		select {
		case <-p.more:
		case <-p.done:
			p.w.Fatalf("the proxy ended before %q:\n%s", line, p.text())
		case <-limit:
			p.w.Fatalf("no %q:\n%s", line, p.text())
		}
	}
}

// ended waits for a good end.
func (p *taker) ended() {
	select {
	case <-p.done:
		if s := p.c.ProcessState; !s.Success() {
			p.w.Errorf("a proxy ended with %v:\n%s", s, p.text())
		}
	case <-time.After(20 * time.Second):
		p.w.Errorf("a proxy does not end:\n%s", p.text())
	}
}

const takenOver = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: ADMIN}}}
static_resources:
  listeners:
  - name: http
    address: {socket_address: {address: 127.0.0.1, port_value: HTTP_PORT}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config: &hcm
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l
          upgrade_configs: [{upgrade_type: websocket}]
          route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  - name: front
    address: {socket_address: {address: 127.0.0.1, port_value: FRONT}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l
          route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: back}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  - name: back
    address: {socket_address: {address: 127.0.0.1, port_value: BACK}}
    filter_chains:
    - transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, require_client_certificate: true, common_tls_context: TLS}}
      filters:
      - name: hcm
        typed_config: *hcm
  - name: tcp
    address: {socket_address: {address: 127.0.0.1, port_value: TCP_PORT}}
    filter_chains:
    - filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: echo}}]
  clusters:
  - name: up
    type: STATIC
    connect_timeout: 5s
    load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: UPSTREAM}}}}]}]}
  - name: back
    type: STATIC
    connect_timeout: 5s
    transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: TLS}}
    load_assignment: {cluster_name: back, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: BACK}}}}]}]}
  - name: echo
    type: STATIC
    connect_timeout: 5s
    load_assignment: {cluster_name: echo, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ECHO}}}}]}]}
`
