package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// parameters are values of tls_params: each is a listener's and a cluster's.
var parameters = []string{
	"{}",
	"{cipher_suites: [ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-GCM-SHA256]}",
	"{cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 'ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305']}",
	"{cipher_suites: [ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384], tls_maximum_protocol_version: TLSv1_2}",
	"{cipher_suites: [ECDHE-ECDSA-AES128-SHA, ECDHE-RSA-AES256-SHA]}",
	"{cipher_suites: [ECDHE-ECDSA-AES256-SHA, ECDHE-RSA-AES128-SHA]}",
	"{cipher_suites: [ECDHE-ECDSA-AES128-SHA256, ECDHE-RSA-AES128-SHA256]}",
	"{cipher_suites: [AES128-GCM-SHA256, AES256-SHA]}",
	"{cipher_suites: [AES256-GCM-SHA384, AES128-SHA]}",
	"{cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256], tls_minimum_protocol_version: TLSv1_3}",
	"{cipher_suites: [''], ecdh_curves: ['']}",
	"{ecdh_curves: [P-256]}",
	"{ecdh_curves: [prime256v1, secp384r1], tls_maximum_protocol_version: TLSv1_2}",
	"{ecdh_curves: [P-384]}",
	"{ecdh_curves: ['P-521:x25519']}",
	"{ecdh_curves: [secp521r1]}",
	"{ecdh_curves: [X25519]}",
	"{ecdh_curves: [X25519MLKEM768]}",
}

var groups = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// suites are those of TLS 1.2 that a client may have.
func suites() (ids []uint16) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) && !strings.Contains(s.Name, "RC4") && !strings.Contains(s.Name, "3DES") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// TestSameAgreed: with which suites and groups a client comes to an agreement, and with which
// an endpoint is asked for one. Lists that say nothing are each program's own, and left out.
func TestSameAgreed(t *testing.T) {
	certs := map[string]tls.Certificate{"rsa": certificate(t, true), "ecdsa": certificate(t, false)}
	both := Programs(t)
	e, u := agreed(t, certs, both[0]), agreed(t, certs, both[1])
	SameList(t, "handshake", e, u)
	ok := 0
	for _, line := range e {
		if !strings.HasSuffix(line, "no") {
			ok++
		}
	}
	if ok < 90 || ok == len(e) {
		t.Errorf("%d of %d come to an agreement", ok, len(e))
	}
	t.Logf("%d handshakes, %d with an agreement", len(e), ok)
}

func agreed(t *testing.T, certs map[string]tls.Certificate, p Program) (out []string) {
	hellos := make(chan string, 2*len(parameters))
	cert := certs["ecdsa"]
	server := serve(t, &tls.Config{Certificates: []tls.Certificate{cert}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hellos <- offered(h)
		return nil, nil
	}})
	at := harness.FreePorts(t, 2*len(parameters)+2)
	var listeners, clusters, routes List
	for i, text := range parameters {
		var params Object
		Read(t, text, &params)
		if params["tls_maximum_protocol_version"] == nil { // by default Envoy's clients stop at 1.2
			params["tls_maximum_protocol_version"] = "TLSv1_3"
		}
		for k, kind := range []string{"rsa", "ecdsa"} {
			var own List
			Read(t, `[{match: {prefix: /}, direct_response: {status: 200}}]`, &own)
			l := Listener(fmt.Sprint(kind, i), at[2*i+k], Object{"route_config": Object{"virtual_hosts": List{Object{
				"name": "v", "domains": List{"*"}, "require_tls": "ALL", "routes": own}}}})
			l["filter_chains"].(List)[0].(Object)["transport_socket"] = Object{"name": "tls", "typed_config": Object{
				"@type": Types + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": Object{"tls_params": params, "tls_certificates": List{inline(t, certs[kind])}}}}
			listeners = append(listeners, l)
		}
		name := fmt.Sprint("up", i)
		c := Cluster(name, server, false)
		c["transport_socket"] = Object{"name": "tls", "typed_config": Object{
			"@type": Types + "transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": Object{"tls_params": params}}}
		clusters = append(clusters, c)
		routes = append(routes, Object{"match": Object{"path": "/" + name}, "route": Object{"cluster": name}})
	}
	plain, admin := at[len(at)-2], at[len(at)-1]
	listeners = append(listeners, Listener("plain", plain, Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}}))
	defer Start(t, at, Bootstrap(admin, listeners, clusters), p)()
	for i, text := range parameters {
		says := func(field string) bool {
			return strings.Contains(text, field) && !strings.Contains(text, field+": ['']")
		}
		for k, kind := range []string{"rsa", "ecdsa"} {
			for _, id := range suites() {
				if !says("cipher_suites") {
					break
				}
				out = append(out, fmt.Sprint(text, kind, tls.CipherSuiteName(id), shake(at[2*i+k], &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{id}, CurvePreferences: groups[1:3]})))
			}
			for _, id := range groups {
				if !says("ecdh_curves") {
					break
				}
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					if version == tls.VersionTLS12 && kind == "ecdsa" { // BoringSSL wants the certificate's curve among them, too
						continue
					}
					out = append(out, fmt.Sprint(text, kind, id, shake(at[2*i+k], &tls.Config{MinVersion: version, MaxVersion: version, CurvePreferences: []tls.CurveID{id}})))
				}
			}
			out = append(out, fmt.Sprint(text, kind, shake(at[2*i+k], &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: groups[1:3]})))
		}
		rs, _, err := (&Ask{Path: fmt.Sprint("/up", i)}).Send(plain)
		if err != nil {
			t.Fatal(err)
		}
		var hello string
		select {
		case hello = <-hellos:
		default:
			t.Fatalf("%s: the endpoint was not asked, %d", text, rs.StatusCode)
		}
		suites, groups, _ := strings.Cut(hello, "; ")
		if says("cipher_suites") {
			out = append(out, text+" "+suites)
		}
		if says("ecdh_curves") {
			out = append(out, text+" "+groups)
		}
		out = append(out, fmt.Sprint(text, " upstream ", rs.StatusCode))
	}
	return out
}

// offered gives the suites of TLS 1.2 and the groups of a hello, in order of their names.
func offered(h *tls.ClientHelloInfo) string {
	var names, of []string
	for _, id := range h.CipherSuites {
		if slices.Contains(suites(), id) {
			names = append(names, tls.CipherSuiteName(id))
		}
	}
	for _, id := range h.SupportedCurves {
		if id&0x0f0f != 0x0a0a { // GREASE (RFC 8701)
			of = append(of, id.String())
		}
	}
	slices.Sort(names)
	slices.Sort(of)
	return strings.Join(names, " ") + "; " + strings.Join(of, " ")
}

// shake asks a listener, and gives what was agreed on.
func shake(port int, c *tls.Config) string {
	c.InsecureSkipVerify = true
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ResponseHeaderTimeout: 20 * time.Second}
	rq, err := http.NewRequest("GET", fmt.Sprintf("https://127.0.0.1:%d/", port), nil)
	if err != nil {
		return err.Error()
	}
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		return " no"
	}
	rs.Body.Close()
	suite := ""
	if rs.TLS.Version == tls.VersionTLS12 {
		suite = tls.CipherSuiteName(rs.TLS.CipherSuite)
	}
	return fmt.Sprintf(" %d %x %s %v", rs.StatusCode, rs.TLS.Version, suite, rs.TLS.CurveID)
}

func serve(t *testing.T, c *tls.Config) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), TLSConfig: c, ErrorLog: nil}
	go s.ServeTLS(ln, "", "")
	t.Cleanup(func() { s.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func certificate(t *testing.T, ofRSA bool) tls.Certificate {
	var key any
	var public any
	if ofRSA {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// inline is a TlsCertificate.
func inline(t *testing.T, c tls.Certificate) Object {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, b []byte) Object {
		return Object{"inline_string": string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))}
	}
	return Object{"certificate_chain": text("CERTIFICATE", c.Certificate[0]), "private_key": text("PRIVATE KEY", key)}
}
