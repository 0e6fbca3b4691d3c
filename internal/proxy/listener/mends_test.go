package listener_test

import (
	"bufio"
	ctls "crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestConnectIsNoTunnel: where CONNECT makes no tunnel no answer may look like one
// that does, or what follows would be sent past the proxy's judgement.
func TestConnectIsNoTunnel(t *testing.T) {
	const connect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n"
	const grpc = "Content-Type: application/grpc\r\n"
	for name, tt := range map[string]struct{ action, header, want string }{
		"direct response":       {"direct_response: {status: 200, body: {inline_string: x}}", "", "404"},
		"direct response, gRPC": {"direct_response: {status: 200}", grpc, "404"},
		"redirect":              {"redirect: {path_redirect: /x}", "", "404"},
		"forward":               {"route: {cluster: up}", "", "403"},
		"forward, gRPC":         {"route: {cluster: up}", grpc, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, nil)
			p.cluster(staticCluster("up", backend(t, echo), ""))
			p.start(strings.Replace(plainListener("upgrade_configs: [{upgrade_type: websocket}]"), "route: {cluster: up}", tt.action, 1))
			got := raw(t, p.addr, connect+tt.header+"\r\nGET /hidden HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 "+tt.want+" ") {
				t.Errorf("%q", got)
			}
		})
	}
	t.Run("refused by a filter, gRPC", func(t *testing.T) {
		if rs, _ := one(t, guarded(t).addr, connect+grpc+"\r\n", "CONNECT"); rs.StatusCode != 401 {
			t.Errorf("%s", rs.Status)
		}
	})
}

// TestTunnelInPieces: the bytes in a tunnel may come with the request for it, one by
// one, or all later; they are judged as requests in each case.
func TestTunnelInPieces(t *testing.T) {
	p := newProxy(t, nil)
	p.opts.ProxyCredential = func() string { return "customer:s3cret" }
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start("name: outbound\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nmetadata: {filter_metadata: {usher: {http_proxy: true}}}\nfilter_chains:\n- filters:" +
		manager(strings.Replace(toUp, `"*"`, `"web:80"`, 1), ""))
	const head = "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\nProxy-Authorization: Basic Y3VzdG9tZXI6czNjcmV0\r\n\r\n"
	const in = "GET /in HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
	for name, send := range map[string]func(net.Conn){
		"at once": func(c net.Conn) { _, _ = io.WriteString(c, head+in) },
		"later":   func(c net.Conn) { ask(t, c, head, "200"); _, _ = io.WriteString(c, in) },
		"byte by byte": func(c net.Conn) {
			ask(t, c, head, "200")
			for _, b := range []byte(in) {
				_, _ = c.Write([]byte{b})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.dial(t, nil)
			c.SetDeadline(time.Now().Add(patience))
			send(c)
			all, _ := io.ReadAll(c)
			if !strings.Contains(strings.ToLower(string(all)), "x-seen: get web /in") {
				t.Errorf("%q", all)
			}
		})
	}
}

// TestLateRetry: a request that has been written is repeated only where the route asks
// for that: nobody knows whether it was processed.
func TestLateRetry(t *testing.T) {
	for on, want := range map[string]int32{"reset-before-request": 1, "connect-failure": 1, "5xx": 3, "reset": 3} {
		for _, head := range []string{"GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 0\r\n"} {
			t.Run(on+" "+head[:4], func(t *testing.T) {
				var n atomic.Int32
				up := proxytest.Serve(t, func(_ int, c net.Conn) {
					if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
						n.Add(1)
					}
				})
				p := newProxy(t, nil)
				p.cluster(staticCluster("up", up, ""))
				p.start(strings.Replace(plainListener(""), "route: {cluster: up", "route: {retry_policy: {retry_on: "+on+", num_retries: 2}, cluster: up", 1))
				if rs, _ := one(t, p.addr, head+"Host: a\r\n\r\n", head[:4]); rs.StatusCode != 503 {
					t.Errorf("%s", rs.Status)
				}
				if got := n.Load(); got != want {
					t.Errorf("the service was asked %d times, want %d", got, want)
				}
			})
		}
	}
}

// TestEnvoyFields: at an edge nobody may say what proxies tell each other, whatever
// certificate he shows; within the mesh peers may.
func TestEnvoyFields(t *testing.T) {
	ca := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	for edge, want := range map[string]string{"use_remote_address: true": "", "use_remote_address: false": "yes"} {
		t.Run(edge, func(t *testing.T) {
			p := newProxy(t, newSecrets(ca, ca.issue(t, uriB, soon)))
			p.cluster(staticCluster("up", backend(t, echo), ""))
			p.start(strings.Replace(inbound("STRICT"), "stat_prefix: test", "stat_prefix: test\n      "+edge, 1))
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &ctls.Config{
				InsecureSkipVerify: true, Certificates: []ctls.Certificate{*ca.issue(t, uriA, soon)}}}}
			rq, _ := http.NewRequest("GET", "https://"+p.addr+"/", nil)
			rq.Header.Set("X-Envoy-Attempt-Count", "yes")
			rs, err := c.Do(rq)
			if err != nil {
				t.Fatal(err)
			}
			rs.Body.Close()
			if got := rs.Header.Get("Got-X-Envoy-Attempt-Count"); got != want {
				t.Errorf("the service is told %q, want %q", got, want)
			}
		})
	}
}
