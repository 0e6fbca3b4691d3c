package listener_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
)

// authority is a real certificate authority in memory.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := x509.ParseCertificate(der)
	return &authority{cert: c, key: k, n: 1}
}

func (a *authority) issue(t testing.TB, uri string, until time.Time) *ctls.Certificate {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.n++
	u, _ := url.Parse(uri)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(a.n), NotBefore: time.Now().Add(-time.Hour), NotAfter: until, URIs: []*url.URL{u}, Subject: pkix.Name{},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return &ctls.Certificate{Certificate: [][]byte{der}, PrivateKey: k, Leaf: leaf}
}

// secrets is one identity whose certificate can be replaced.
type secrets struct {
	mu    sync.Mutex
	cert  *ctls.Certificate
	roots *x509.CertPool
}

func newSecrets(a *authority, c *ctls.Certificate) *secrets {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return &secrets{cert: c, roots: p}
}

func (s *secrets) Certificate(name string) (*ctls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != proxytls.OwnCertificate || s.cert == nil {
		return nil, errors.New("no such secret")
	}
	return s.cert, nil
}

func (s *secrets) Roots(name string) (*x509.CertPool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != proxytls.OwnRoots || s.roots == nil {
		return nil, errors.New("no such secret")
	}
	return s.roots, nil
}

func (s *secrets) set(c *ctls.Certificate) { s.mu.Lock(); s.cert = c; s.mu.Unlock() }

const (
	uriA  = "spiffe://cluster.local/ns/a/sa/a"
	uriB  = "spiffe://cluster.local/ns/b/sa/b"
	uriC  = "spiffe://cluster.local/ns/c/sa/c"
	uriX  = "spiffe://other.domain/ns/a/sa/a"
	sdsB  = `tls_certificate_sds_secret_configs: [{name: default, sds_config: {api_config_source: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: sds-grpc}}]}}}]`
	rootB = `validation_context_sds_secret_config: {name: ROOTCA, sds_config: {api_config_source: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: sds-grpc}}]}}}`
)

func serverSocket() string {
	return `
  transport_socket:
    name: tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      require_client_certificate: true
      common_tls_context:
        ` + sdsB + `
        alpn_protocols: [istio, http/1.1]
        combined_validation_context:
          default_validation_context: {match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "spiffe://cluster.local/"}}]}
          ` + rootB + "\n"
}

const xfcc = `
forward_client_cert_details: SANITIZE_SET
set_current_client_cert_details: {subject: true, uri: true}`

// inbound is the listener of a sidecar in that mode.
func inbound(mode string) string {
	s := "name: inbound\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\n" +
		"listener_filters: [{name: envoy.filters.listener.tls_inspector, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}]\nfilter_chains:\n"
	if mode != "DISABLE" {
		s += "- filter_chain_match: {transport_protocol: tls}\n  filters:" + manager(toUp, xfcc) + strings.TrimPrefix(serverSocket(), "\n")
	}
	if mode != "STRICT" {
		s += "- filter_chain_match: {transport_protocol: raw_buffer}\n  filters:" + manager(toUp, "forward_client_cert_details: SANITIZE")
	}
	return s
}

func mtlsCluster(addr, server string) string {
	return staticCluster("up", addr, `
transport_socket_matches:
- name: tlsMode-istio
  match: {tlsMode: istio}
  transport_socket:
    name: tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      common_tls_context:
        `+sdsB+`
        alpn_protocols: [istio]
        combined_validation_context:
          default_validation_context: {match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "`+server+`"}}]}
          `+rootB+`
- name: disabled
  match: {}
  transport_socket: {name: envoy.transport_sockets.raw_buffer, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}
`)
}

// istio marks the endpoint of a static cluster as one that speaks mTLS.
func istio(text string) string {
	return strings.Replace(text, "{endpoint: {address", "{metadata: {filter_metadata: {envoy.transport_socket_match: {tlsMode: istio}}}, endpoint: {address", 1)
}

func TestMutualTLS(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	certB := a.issue(t, uriB, soon)
	up := backend(t, echo)
	for _, tt := range []struct {
		name, mode string
		client     *secrets
		expect     string // server identity that the client wants
		metadata   bool
		status     int
	}{
		{"good", "STRICT", newSecrets(a, a.issue(t, uriA, soon)), uriB, true, 200},
		{"good, permissive", "PERMISSIVE", newSecrets(a, a.issue(t, uriA, soon)), uriB, true, 200},
		{"clear to permissive", "PERMISSIVE", newSecrets(a, a.issue(t, uriA, soon)), uriB, false, 200},
		{"clear to strict", "STRICT", newSecrets(a, a.issue(t, uriA, soon)), uriB, false, 503},
		{"clear to disabled", "DISABLE", newSecrets(a, a.issue(t, uriA, soon)), uriB, false, 200},
		{"TLS to disabled", "DISABLE", newSecrets(a, a.issue(t, uriA, soon)), uriB, true, 503},
		{"wrong server", "STRICT", newSecrets(a, a.issue(t, uriA, soon)), uriC, true, 503},
		{"client of another authority", "STRICT", newSecrets(a, other.issue(t, uriA, soon)), uriB, true, 503},
		{"client of another authority, permissive", "PERMISSIVE", newSecrets(a, other.issue(t, uriA, soon)), uriB, true, 503},
		{"client of another trust domain", "STRICT", newSecrets(a, a.issue(t, uriX, soon)), uriB, true, 503},
		{"expired client", "STRICT", newSecrets(a, a.issue(t, uriA, time.Now().Add(-time.Minute))), uriB, true, 503},
		{"client without certificate", "STRICT", newSecrets(a, nil), uriB, true, 503},
		{"client trusts another authority", "STRICT", newSecrets(other, a.issue(t, uriA, soon)), uriB, true, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := newProxy(t, newSecrets(a, certB))
			in.cluster(staticCluster("up", up, ""))
			in.start(inbound(tt.mode))
			out := newProxy(t, tt.client)
			c := mtlsCluster(in.addr, tt.expect)
			if tt.metadata {
				c = istio(c)
			}
			out.cluster(c)
			out.start(plainListener(""))
			rs, body := one(t, out.addr, "GET / HTTP/1.1\r\nHost: b\r\nX-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/evil/sa/evil\r\nX-Envoy-Internal: true\r\n\r\n", "GET")
			if rs.StatusCode != tt.status {
				t.Fatalf("%d %s", rs.StatusCode, body)
			}
			if tt.status != 200 {
				return
			}
			got := rs.Header.Values("Got-X-Forwarded-Client-Cert")
			if !tt.metadata {
				if len(got) != 0 || rs.Header.Get("Got-X-Envoy-Internal") != "" {
					t.Errorf("believes a peer in clear: %q", got)
				}
				return
			}
			sum := sha256.Sum256(tt.client.cert.Leaf.Raw)
			want := "By=" + uriB + ";Hash=" + hex.EncodeToString(sum[:]) + `;Subject="";URI=` + uriA
			if len(got) != 1 || got[0] != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestRotation replaces the server's certificate while a connection is open.
func TestRotation(t *testing.T) {
	a := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	server := newSecrets(a, a.issue(t, uriB, soon))
	in := newProxy(t, server)
	in.cluster(staticCluster("up", backend(t, echo), ""))
	in.start(inbound("STRICT"))
	mine := a.issue(t, uriA, soon)
	dial := func() *ctls.Conn {
		c, err := ctls.Dial("tcp", in.addr, &ctls.Config{InsecureSkipVerify: true, Certificates: []ctls.Certificate{*mine}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c net.Conn) bool {
		c.SetDeadline(time.Now().Add(3 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: b\r\n\r\n")
		b := make([]byte, 12)
		_, err := io.ReadFull(c, b)
		if err == nil {
			buf := make([]byte, 4096)
			c.Read(buf)
		}
		return err == nil && string(b) == "HTTP/1.1 200"
	}
	first := dial()
	if !ask(first) {
		t.Fatal("no answer")
	}
	next := a.issue(t, uriB, soon)
	server.set(next)
	if !ask(first) {
		t.Error("the open connection broke")
	}
	if got := dial().ConnectionState().PeerCertificates[0]; !got.Equal(next.Leaf) {
		t.Error("the old certificate is still shown")
	}
}

// TestSwap changes what is in force under open connections.
func TestSwap(t *testing.T) {
	a := newAuthority(t)
	in := newProxy(t, newSecrets(a, a.issue(t, uriB, time.Now().Add(time.Hour))))
	in.cluster(staticCluster("up", backend(t, echo), ""))
	in.start(inbound("PERMISSIVE"))
	open := func() net.Conn {
		c, err := net.Dial("tcp", in.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(3 * time.Second))
		return c
	}
	status := func(c net.Conn) (string, error) {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: b\r\n\r\n"); err != nil {
			return "", err
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			return "", err
		}
		return string(b[9:min(12, n)]), nil
	}
	c := open()
	if s, err := status(c); s != "200" {
		t.Fatal(s, err)
	}
	direct := strings.Replace(inbound("PERMISSIVE"), "route: {cluster: up}", "direct_response: {status: 418}", -1)
	if err := in.Swap(in.compile(direct)); err != nil {
		t.Fatal(err)
	}
	if s, err := status(c); s != "418" {
		t.Fatal("policy is not in force on the open connection", s, err)
	}
	if err := in.Swap(in.compile(inbound("STRICT"))); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("idle connection in clear goes on under STRICT: %d %v", n, err)
	}
	if got := raw(t, in.addr, "GET / HTTP/1.1\r\nHost: b\r\n\r\n"); got != "" {
		t.Errorf("STRICT answers in clear: %q", got)
	}
}

func TestProxyMode(t *testing.T) {
	mesh, outside := backend(t, echo), backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "outside "+r.Host) })
	_, outsidePort, _ := net.SplitHostPort(outside)
	p := newProxy(t, nil)
	forbidden := ""
	p.up.DialAllowed = func(a netip.AddrPort) error {
		if a.String() == forbidden {
			return errors.New("a port of usher's own")
		}
		return nil
	}
	p.opts.ProxyCredential = func() string { return "customer:s3cret" }
	p.cluster(staticCluster("mesh", mesh, ""))
	p.cluster("name: PassthroughCluster\nlb_policy: CLUSTER_PROVIDED\ncluster_type: {name: envoy.clusters.dynamic_forward_proxy, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig, dns_cache_config: {name: c, dns_lookup_family: V4_PREFERRED}}}")
	p.route(`
name: outbound
virtual_hosts:
- {name: mesh, domains: ["preference:8080", "web:80"], routes: [{match: {prefix: /}, route: {cluster: mesh}}]}
- {name: any, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: PassthroughCluster}}]}`)
	p.start("name: outbound\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nmetadata: {filter_metadata: {usher: {http_proxy: true}}}\nfilter_chains:\n- filters:" +
		manager("rds: {route_config_name: outbound, config_source: {ads: {}}}", ""))
	const auth = "Proxy-Authorization: Basic Y3VzdG9tZXI6czNjcmV0\r\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no credential", "GET http://preference:8080/ HTTP/1.1\r\nHost: preference:8080\r\n\r\n", "407"},
		{"bad credential", "GET http://preference:8080/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic Y3VzdG9tZXI6czNjcmV1\r\n\r\n", "407"},
		{"CONNECT without credential", "CONNECT preference:8080 HTTP/1.1\r\nHost: preference:8080\r\n\r\n", "407"},
		{"origin form", "GET / HTTP/1.1\r\nHost: preference:8080\r\n" + auth + "\r\n", "400"},
		{"https", "GET https://preference:8080/ HTTP/1.1\r\nHost: preference:8080\r\n" + auth + "\r\n", "400"},
		{"mesh", "GET http://preference:8080/p?q HTTP/1.1\r\nHost: ignored\r\n" + auth + "\r\n", "200 GET preference:8080 /p?q"},
		{"default port", "GET http://web/p HTTP/1.1\r\nHost: web\r\n" + auth + "\r\n", "200 GET web /p"},
		{"outside", "GET http://127.0.0.1:" + outsidePort + "/ HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "200 outside 127.0.0.1:" + outsidePort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rs, b := one(t, p.addr, tt.text, "GET")
			got := rs.Status[:3]
			if rs.StatusCode == 200 {
				got += " " + rs.Header.Get("X-Seen")
				if rs.Header.Get("X-Seen") == "" {
					got += b
				}
			}
			if got != tt.want {
				t.Errorf("%q, want %q (%s)", got, tt.want, b)
			}
			if v := rs.Header.Get("Got-Proxy-Authorization"); v != "" {
				t.Errorf("the credential goes on: %s", v)
			}
		})
	}
	t.Run("CONNECT mesh", func(t *testing.T) {
		got := raw(t, p.addr, "CONNECT preference:8080 HTTP/1.1\r\nHost: preference:8080\r\n"+auth+"\r\nGET /in HTTP/1.1\r\nHost: preference:8080\r\n\r\nGET /two HTTP/1.1\r\nHost: preference:8080\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.Contains(got, "GET preference:8080 /in") || !strings.Contains(got, "GET preference:8080 /two") {
			t.Errorf("%q", got)
		}
	})
	t.Run("CONNECT outside", func(t *testing.T) {
		got := raw(t, p.addr, "CONNECT "+outside+" HTTP/1.1\r\nHost: "+outside+"\r\n"+auth+"\r\nGET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.Contains(got, "outside x") {
			t.Errorf("%q", got)
		}
	})
	t.Run("forbidden", func(t *testing.T) {
		forbidden = outside
		p.snap.Load().Clusters["PassthroughCluster"].Recycle()
		for _, text := range []string{"CONNECT " + outside + " HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "GET http://" + outside + "/ HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n"} {
			if rs, _ := one(t, p.addr, text, "GET"); rs.StatusCode != 403 {
				t.Errorf("%d", rs.StatusCode)
			}
		}
	})
}
