package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestDrain: a proxy that is told to end under load fails not one request. A client goes
// on until an answer says that it is the last on its connection, or until nobody
// listens; over HTTP/2 Go's own transport decides what it may send again.
func TestDrain(t *testing.T) {
	rounds := harness.Count(t, "proxies that are drained under load", 3, 600)
	bin := harness.Bin(t, "usher-proxy")
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello")
	}))
	defer up.Close()
	ports := harness.FreePorts(t, 1)
	file := filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, drained, ports[0], harness.Port(t, up.Listener.Addr().String())), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprint("127.0.0.1:", ports[0])
	var asked atomic.Int64
	for range rounds {
		c := exec.Command(bin, "-c", file)
		var log bytes.Buffer
		c.Stdout, c.Stderr = &log, &log
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, "the proxy listens", func() (bool, any) {
			nc, err := net.Dial("tcp", addr)
			if err == nil {
				nc.Close()
			}
			return err == nil, err
		})
		var clients sync.WaitGroup
		var warm sync.WaitGroup
		const each = 8
		warm.Add(2 * each)
		for range each {
			clients.Go(func() {
				if err := askOn(context.Background(), addr, &asked, warm.Done); err != nil {
					t.Errorf("HTTP/1.1: %v", err)
				}
			})
			clients.Go(func() {
				if err := ask2(addr, &asked, warm.Done); err != nil {
					t.Errorf("HTTP/2: %v", err)
				}
			})
		}
		warm.Wait() // all are in the midst of it
		c.Process.Signal(syscall.SIGTERM)
		clients.Wait()
		if err := c.Wait(); err != nil {
			t.Errorf("the proxy ends: %v\n%s", err, log.String())
		}
	}
	t.Logf("%d requests were answered over %d drains", asked.Load(), rounds)
}

// many is how many requests a client has sent when the drain may begin.
const many = 50

// askOn asks on one connection until it is told that it ends, or ctx ends.
func askOn(ctx context.Context, addr string, asked *atomic.Int64, warm func()) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 1; ; n++ {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		rs, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		b, err := io.ReadAll(rs.Body)
		if err != nil || rs.StatusCode != 200 || string(b) != "hello" {
			return fmt.Errorf("request %d: %s %q %w", n, rs.Status, b, err)
		}
		asked.Add(1)
		if n == many {
			warm()
		}
		if rs.Close || ctx.Err() != nil {
			if n < many {
				warm()
			}
			return nil
		}
	}
}

// ask2 asks until nobody listens.
func ask2(addr string, asked *atomic.Int64, warm func()) error {
	tr := transport2()
	defer tr.CloseIdleConnections()
	for n := 1; ; n++ {
		err := get(tr, addr)
		if errors.Is(err, syscall.ECONNREFUSED) && n > many {
			return nil
		}
		if err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		asked.Add(1)
		if n == many {
			warm()
		}
	}
}

// transport2 speaks HTTP/2 in clear.
func transport2() *http.Transport {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return tr
}

// get asks once.
func get(tr *http.Transport, addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rq, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/", nil)
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		return err
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	if err != nil || rs.StatusCode != 200 || string(b) != "hello" {
		return fmt.Errorf("%s %q %w", rs.Status, b, err)
	}
	return nil
}

const drained = `
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l
          route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: up
    type: STATIC
    connect_timeout: 5s
    load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}
`
