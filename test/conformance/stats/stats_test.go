package stats

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

const bootstrap = `
node: {id: me, cluster: us}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: @ADMIN@}}}
static_resources:
  listeners:
  - name: plain
    stat_prefix: plain
    address: {socket_address: {address: 127.0.0.1, port_value: @PORT@}}
    filter_chains: [{filters: [{name: hcm, typed_config: &hcm {
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: in,
      route_config: {name: r, validate_clusters: false, virtual_hosts: [{name: v, domains: ["*"], routes: [
        {match: {prefix: /direct}, direct_response: {status: 418}},
        {match: {prefix: /redirect}, redirect: {path_redirect: /}},
        {match: {prefix: /nowhere}, route: {cluster: nowhere}},
        {match: {prefix: /dead}, route: {cluster: dead}},
        {match: {prefix: /empty}, route: {cluster: empty}},
        {match: {prefix: /slow}, route: {cluster: up, timeout: 0.2s}},
        {match: {prefix: /retry}, route: {cluster: up, retry_policy: {retry_on: 5xx, num_retries: 2, retry_back_off: {base_interval: 0.001s}}}},
        {match: {prefix: /up}, route: {cluster: up}}]}]},
      http_filters: [
        {name: rbac, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, rules: {action: DENY, policies: {p: {permissions: [{url_path: {path: {prefix: /up/denied}}}], principals: [{any: true}]}}}}},
        {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]
  - name: one
    stat_prefix: one
    address: {socket_address: {address: 127.0.0.1, port_value: @ONE@}}
    filter_chains: [{filters: [{name: hcm, typed_config: {
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: one,
      route_config: {name: o, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /up}, route: {cluster: up}}, {match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]}]},
      http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]
  - name: tls
    stat_prefix: tls
    address: {socket_address: {address: 127.0.0.1, port_value: @TLS@}}
    filter_chains: [{filter_chain_match: {server_names: [a.test]}, filters: [{name: hcm, typed_config: *hcm}], transport_socket: {name: tls, typed_config: {
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
      common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificates: [{certificate_chain: {filename: @CERT@}, private_key: {filename: @KEY@}}]}}}}]
    listener_filters: [{name: inspect, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}]
  clusters:
  - {name: up, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @UP@}}}}]}]}}
  - {name: dead, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: dead, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}},
     {health_status: DEGRADED, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 2}}}}, {health_status: DRAINING, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 3}}}}]}]}}
  - {name: empty, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: empty}}
`

// counting is a listener that counts the bytes that come.
type counting struct {
	net.Listener
	received *atomic.Int64
}

// Accept implements net.Listener.
func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.received}, err
}

type countingConn struct {
	net.Conn
	received *atomic.Int64
}

// Read implements net.Conn.
func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func upstream(t *testing.T, received *atomic.Int64) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up/404":
			w.WriteHeader(404)
		case "/up/500":
			w.WriteHeader(500)
		case "/up/large":
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			_, _ = io.WriteString(w, large)
		case "/slow":
			<-r.Context().Done()
		case "/retry/once":
			if tries++; tries%2 == 1 {
				w.WriteHeader(503)
			}
		case "/retry/never":
			w.WriteHeader(502)
		}
	})}
	go s.Serve(counting{ln, received})
	t.Cleanup(func() { s.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// run gives a program's statistics after the traffic.
func run(t *testing.T, program string, args ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	cert := harness.Issue(t, harness.ForeignCA(t), "spiffe://x/ns/a/sa/b", time.Now().Add(time.Hour))
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	p, received := harness.FreePorts(t, 4), new(atomic.Int64)
	files := map[string][]byte{
		"c.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), "k.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"b.yaml": []byte(strings.NewReplacer("@ADMIN@", fmt.Sprint(p[0]), "@PORT@", fmt.Sprint(p[1]), "@TLS@", fmt.Sprint(p[2]), "@ONE@", fmt.Sprint(p[3]), "@UP@", fmt.Sprint(upstream(t, received)),
			"@CERT@", filepath.Join(dir, "c.pem"), "@KEY@", filepath.Join(dir, "k.pem")).Replace(bootstrap)),
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The administration interface alone is asked whether the program is there: other
	// connections would be counted.
	harness.Serve(t, p[:1], program, append([]string{"-c", filepath.Join(dir, "b.yaml")}, args...)...)
	harness.Eventually(t, 30*time.Second, program+" is ready", func() (bool, any) {
		text, err := get(p[0], "/ready")
		return text == "LIVE\n", err
	})
	traffic(t, p[1], p[2], p[3])
	var all map[string]string
	harness.Eventually(t, 30*time.Second, "connections end", func() (bool, any) {
		all = stats(t, p[0])
		return all["http.in.downstream_cx_active"] == "0" && all["http.one.downstream_cx_active"] == "0" && all["listener.plain.downstream_cx_active"] == "0" && all["listener.tls.downstream_cx_active"] == "0", nil
	})
	const sent = "cluster.up.upstream_cx_tx_bytes_total"
	if n := fmt.Sprint(received.Load()); all[sent] != n {
		t.Errorf("%s: %s is %s, and %s have come", program, sent, all[sent], n)
	}
	return all
}

func get(port int, path string) (string, error) {
	r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// stats gives names with values. Gauges are asked for first: when they say that nothing is
// under way, counters that are read afterwards are whole.
func stats(t *testing.T, port int) map[string]string {
	t.Helper()
	gauges, err := get(port, "/stats?type=Gauges")
	text, err2 := get(port, "/stats?type=Counters")
	histograms, err3 := get(port, "/stats?type=Histograms&format=json&histogram_buckets=cumulative")
	if err != nil || err2 != nil || err3 != nil {
		t.Fatal(err, err2, err3)
	}
	out := map[string]string{}
	for l := range strings.Lines(text + gauges) {
		if i := strings.LastIndex(l, ": "); i > 0 {
			out[l[:i]] = strings.TrimSpace(l[i+2:])
		}
	}
	var h struct {
		Stats []struct {
			Histograms []struct{ Name string }
		}
	}
	if err := json.Unmarshal([]byte(histograms), &h); err != nil {
		t.Fatal(err)
	}
	for _, s := range h.Stats {
		for _, h := range s.Histograms {
			out[h.Name] = "histogram"
		}
	}
	return out
}

// large is a content that is read and written in pieces.
var large = strings.Repeat("0123456789", 10_000)

func traffic(t *testing.T, plain, secure, single int) {
	t.Helper()
	ask := func(c *http.Client, method, url string) {
		var body io.Reader
		if method == "PUT" {
			body = strings.NewReader(large)
		}
		r, err := http.NewRequestWithContext(context.Background(), method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := c.Do(r)
		if err != nil {
			t.Fatal(url, err)
		}
		_, _ = io.Copy(io.Discard, rs.Body)
		rs.Body.Close()
	}
	client := func(tr *http.Transport) *http.Client {
		return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	one := &http.Transport{MaxConnsPerHost: 1}
	paths := []string{"/up", "/up", "/up/404", "/up/500", "/up/denied", "/direct", "/redirect", "/none", "/nowhere", "/dead", "/empty", "/slow", "/retry/once", "/retry/never", "/up"}
	for _, p := range paths {
		ask(client(one), "GET", fmt.Sprintf("http://127.0.0.1:%d%s", plain, p))
	}
	one.CloseIdleConnections()
	kept := &http.Transport{MaxConnsPerHost: 1}
	for _, p := range []string{"/", "/up", "/up/large"} { // whose bytes are exactly the same
		for _, method := range []string{"POST", "PUT"} {
			if method == "POST" || p != "/" {
				ask(client(kept), method, fmt.Sprintf("http://127.0.0.1:%d%s", single, p))
			}
		}
	}
	kept.CloseIdleConnections()
	prior := &http.Transport{MaxConnsPerHost: 1, Protocols: new(http.Protocols)}
	prior.Protocols.SetUnencryptedHTTP2(true)
	for range 3 {
		ask(client(prior), "POST", fmt.Sprintf("http://127.0.0.1:%d/up", plain))
	}
	prior.CloseIdleConnections()
	for _, h2 := range []bool{true, false} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP2(h2)
		tr.Protocols.SetHTTP1(!h2)
		ask(client(tr), "GET", fmt.Sprintf("https://127.0.0.1:%d/up", secure))
		tr.CloseIdleConnections()
	}
	// No chain for the name, and a head that is none.
	if c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", secure), &tls.Config{InsecureSkipVerify: true, ServerName: "b.test"}); err == nil {
		c.Close()
		t.Error("a chain for any name")
	}
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", plain))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n")
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
}

func listed(l []exception, name string) bool {
	return slices.ContainsFunc(l, func(e exception) bool { return e.names.MatchString(name) })
}

// TestSameAsEnvoy: the same names with the same values.
func TestSameAsEnvoy(t *testing.T) {
	e := run(t, harness.Envoy(t), "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	u := run(t, harness.Bin(t, "usher-proxy"))
	same, used := 0, 0
	for _, n := range slices.Sorted(maps.Keys(e)) {
		v, ok := u[n]
		switch {
		case !ok && !listed(missing, n):
			t.Errorf("%s: %s in Envoy, and missing", n, e[n])
		case ok && v != e[n] && !listed(differ, n):
			t.Errorf("%s: %s in Envoy, %s here", n, e[n], v)
		case ok && v == e[n]:
			if same++; v != "0" {
				used++
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(u)) {
		if _, ok := e[n]; !ok && !listed(more, n) {
			t.Errorf("%s: %s here, and not in Envoy", n, u[n])
		}
	}
	if same < 100 || used < 40 {
		t.Errorf("only %d are the same, %d of them not 0", same, used)
	}
	t.Logf("%d of Envoy's %d names are the same, %d of them not 0", same, len(e), used)
}
