package logs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// certified are certificates of one authority, in files too.
type certified struct {
	dir  string
	pool *x509.CertPool
	all  map[string]tls.Certificate
}

// certify makes a certificate for each name, which has names of all kinds.
func certify(t *testing.T, names ...string) *certified {
	t.Helper()
	ca := harness.ForeignCA(t)
	c := &certified{t.TempDir(), x509.NewCertPool(), map[string]tls.Certificate{}}
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(c.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", "CERTIFICATE", ca.Certificate[0])
	root, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	c.pool.AddCert(root)
	for _, name := range names {
		cert := harness.Sign(t, ca, &x509.Certificate{
			Subject: pkix.Name{CommonName: name, Organization: []string{"o"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			URIs:     []*url.URL{{Scheme: "spiffe", Host: "x", Path: "/" + name}, {Scheme: "spiffe", Host: "y", Path: "/" + name}},
			DNSNames: []string{name + ".test", name + ".other"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, EmailAddresses: []string{name + "@test"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		})
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", cert.Certificate[0])
		write(name+".key", "PRIVATE KEY", key)
		c.all[name] = cert
	}
	return c
}

// socket is a transport socket with that certificate, which wants one of the other side.
func (c *certified) socket(kind, own, alpn, more string) string {
	file := func(name string) string { return "{filename: " + filepath.Join(c.dir, name) + "}" }
	if own != "" {
		own = "tls_certificates: [{certificate_chain: " + file(own+".pem") + ", private_key: " + file(own+".key") + "}], "
	}
	return `transport_socket: {name: tls, typed_config: {"@type": ` + beside.Types + `transport_sockets.tls.v3.` + kind + `TlsContext, common_tls_context: {` + own +
		`validation_context: {trusted_ca: ` + file("ca.pem") + `}, alpn_protocols: [` + alpn + `], tls_params: {tls_maximum_protocol_version: TLSv1_3}}` + more + `}}`
}

// cluster is an upstream that is spoken to in TLS, by a server with that certificate.
func (c *certified) cluster(t *testing.T, name, server, own string, http2 bool, auth tls.ClientAuthType) object {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(upstream))
	s.EnableHTTP2 = http2
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c.all[server]}, ClientAuth: auth, ClientCAs: c.pool}
	s.StartTLS()
	t.Cleanup(s.Close)
	out := beside.Cluster(name, s.Listener.Addr().(*net.TCPAddr).Port, http2)
	alpn := ""
	if http2 {
		alpn = "h2"
	}
	beside.Read(t, "{"+c.socket("Upstream", own, alpn, "")+"}", &out)
	return out
}

// TestCertificates compares what lines tell of both sides' certificates and handshakes.
func TestCertificates(t *testing.T) {
	c := certify(t, "client", "proxy", "server")
	client := &tls.Config{RootCAs: c.pool, ServerName: "proxy.test", Certificates: []tls.Certificate{c.all["client"]}}
	old := client.Clone()
	old.MaxVersion, old.CurvePreferences = tls.VersionTLS12, []tls.CurveID{tls.X25519, tls.CurveP256}
	nobody := client.Clone()
	nobody.Certificates = nil
	again := nobody.Clone() // the second of these resumes the session
	again.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	asks := []ask{{tls: client}, {tls: old}, {tls: nobody}, {tls: again}, {tls: again}, {tls: client, http2: true}, {tls: client, path: "/dead"}, {tls: client, path: "/direct"}, {tls: client, path: "/mutual"}, {tls: client, path: "/h2"}, {tls: client, path: "/clear"},
		{tls: client, path: "/none"}}
	const routes = `[{match: {prefix: /direct}, direct_response: {status: 200}}, {match: {prefix: /dead}, route: {cluster: dead}}, {match: {prefix: /mutual}, route: {cluster: mutual}}, {match: {prefix: /h2}, route: {cluster: tls2}},
		{match: {prefix: /clear}, route: {cluster: up}}, {match: {prefix: /none}, route: {cluster: none}}, {match: {prefix: /}, route: {cluster: tls}}]`
	const inspector = `listener_filters: [{name: inspect, typed_config: {"@type": ` + beside.Types + `filters.listener.tls_inspector.v3.TlsInspector}}]`
	of := func(name, format string) *world {
		return &world{name: name, routes: routes, asks: asks, place: inspector, chain: c.socket("Downstream", "proxy", "h2, http/1.1", ""), log: `log_format: {text_format_source: {inline_string: "` + format + `\n"}}`,
			scrub: func(s string) string {
				return regexp.MustCompile(`\w{3} \d+ \d\d:\d\d:\d\d \d{4} GMT`).ReplaceAllString(s, "then")
			}}
	}
	compare(t, []*world{
		of("client", "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_IP_SAN% %DOWNSTREAM_PEER_EMAIL_SAN% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_PEER_FINGERPRINT_1% %DOWNSTREAM_PEER_CERT% %DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_END%"),
		of("chain", "%DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256% %DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1% %DOWNSTREAM_PEER_CHAIN_SERIALS%"),
		of("own", "%DOWNSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_LOCAL_DNS_SAN% %DOWNSTREAM_LOCAL_IP_SAN% %DOWNSTREAM_LOCAL_EMAIL_SAN% %DOWNSTREAM_LOCAL_SUBJECT%"),
		of("handshake", "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_GROUP% %REQUESTED_SERVER_NAME%"),
		of("server", "%UPSTREAM_PEER_URI_SAN% %UPSTREAM_PEER_DNS_SAN% %UPSTREAM_PEER_IP_SAN% %UPSTREAM_PEER_SUBJECT% %UPSTREAM_PEER_ISSUER% %UPSTREAM_PEER_CERT% %UPSTREAM_PEER_CERT_V_START% %UPSTREAM_PEER_CERT_V_END(%Y)%"),
		of("shown", "%UPSTREAM_LOCAL_URI_SAN% %UPSTREAM_LOCAL_DNS_SAN% %UPSTREAM_LOCAL_IP_SAN%"),
		of("version", "%UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER% %UPSTREAM_TLS_GROUP%"),
	}, c.cluster(t, "tls", "server", "", false, tls.NoClientCert), c.cluster(t, "mutual", "server", "proxy", false, tls.RequireAndVerifyClientCert), c.cluster(t, "tls2", "server", "client", true, tls.NoClientCert))
}
