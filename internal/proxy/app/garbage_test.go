//go:build !race

// Under the race detector pools lose some of what they hold.

package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const garbageConfig = `{
 "node": {"id": "garbage", "cluster": "garbage"},
 "static_resources": {
  "clusters": [{"name": "up", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": @UPSTREAM@}}}}]}]}}],
  "listeners": [{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": @PORT@}}, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "garbage", "use_remote_address": true,
   "http_filters": [
    {"name": "jwt", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
     "providers": {"p": {"issuer": "i", "local_jwks": {"inline_string": "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"@KEY@\"}]}"}, "forward": true, "jwt_cache_config": {}, "payload_in_metadata": "payload"}},
     "rules": [{"match": {"prefix": "/closed"}, "requires": {"provider_name": "p"}}]}},
    {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
   "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}]}
  }}]}]}]}}`

func freePort(t *testing.T) int {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	return at.Addr().(*net.TCPAddr).Port
}

// allocated counts the objects that were ever allocated in this process.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// startGarbage runs a proxy of garbageConfig, which takes tokens of that key, until the test ends.
func startGarbage(t *testing.T, public ed25519.PublicKey) (port int) {
	port = freePort(t)
	_, upstream, err := net.SplitHostPort(proxytest.Answering(t, "HTTP/1.1 200 OK\r\nServer: echo\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\nhello world\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := bootstrap.Parse([]byte(strings.NewReplacer("@UPSTREAM@", upstream, "@PORT@", fmt.Sprint(port),
		"@KEY@", base64.RawURLEncoding.EncodeToString(public)).Replace(garbageConfig)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{}, 8)
	go func() {
		done <- Run(ctx, Options{Bootstrap: b, Log: slog.New(slog.DiscardHandler), Notify: func(n Notice) {
			if n.Ready {
				ready <- struct{}{}
			}
		}})
	}()
	t.Cleanup(func() { stop(); <-done })
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return port
}

// A request that passes, with no token or one that was seen before, leaves no garbage.
func TestRequestsLeaveNoGarbage(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	port := startGarbage(t, public)
	e := base64.RawURLEncoding.EncodeToString
	input := e([]byte(`{"alg":"EdDSA"}`)) + "." + e([]byte(`{"iss":"i","sub":"s","exp":4685989700}`))
	token := input + "." + e(ed25519.Sign(private, []byte(input)))
	for name, head := range map[string]string{
		"plain":        "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\n\r\n",
		"cached token": "GET /closed HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer " + token + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			request, buf := []byte(head), make([]byte, 4096)
			hop := func() {
				c.Write(request)
				n, err := c.Read(buf)
				if err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
					t.Fatalf("%q, %v", buf[:n], err)
				}
			}
			for range 100 {
				hop()
			}
			const requests = 4000
			before := allocated()
			for range requests {
				hop()
			}
			// Timers and the clock's second make some.
			if n := float64(allocated()-before) / requests; n > 0.2 {
				t.Errorf("%.2f allocations a request", n)
			}
		})
	}
}
