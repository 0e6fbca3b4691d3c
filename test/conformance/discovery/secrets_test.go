package discovery

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

const tlsTypes = beside.Types + "transport_sockets.tls.v3."

// chainPEM and keyPEM give a certificate as files have it.
func chainPEM(c tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

func keyPEM(t *testing.T, c tls.Certificate) string {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// handshake tells whose certificate is shown on port TEST, and what is answered to a client,
// by whom.
func handshake(client ...tls.Certificate) func(w *world) string {
	return func(w *world) string {
		conf := &tls.Config{InsecureSkipVerify: true, Certificates: client}
		c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf}}
		rs, err := c.Get(fmt.Sprintf("https://127.0.0.1:%d/", w.ports["TEST"]))
		if err != nil {
			return "refused"
		}
		rs.Body.Close()
		return strings.TrimSpace(fmt.Sprint(rs.StatusCode, " ", rs.TLS.PeerCertificates[0].DNSNames, " ", rs.Header.Get("x-from")))
	}
}

// secure makes TEST a listener of TLS.
func secure(t *testing.T, p beside.Program, w *world, context object) {
	t.Helper()
	for _, name := range []string{"TEST", "MARK", "ADMIN"} {
		w.ports[name] = harness.FreePorts(t, 1)[0]
	}
	test := beside.Listener("test", w.ports["TEST"], object{"route_config": object{"virtual_hosts": list{object{"name": "all", "domains": list{"*"},
		"routes": list{object{"match": object{"prefix": "/"}, "direct_response": object{"status": 299}}}}}}})
	context["@type"] = tlsTypes + "DownstreamTlsContext"
	test["filter_chains"].(list)[0].(object)["transport_socket"] = object{"name": "tls", "typed_config": context}
	beside.Start(t, []int{w.ports["TEST"], w.ports["MARK"], w.ports["ADMIN"]}, beside.Bootstrap(w.ports["ADMIN"], list{test,
		beside.Listener("mark", w.ports["MARK"], manager("mark", w.marked()))}, nil), p)
}

func sds(name, body string) string {
	return fmt.Sprintf("resources:\n- {\"@type\": %sSecret, name: %s, %s}\n", tlsTypes, name, body)
}

// TestCertificateFromFile: a certificate that a secret of a file names is read again when it
// or its key is moved into place; half a pair changes nothing.
func TestCertificateFromFile(t *testing.T) {
	ca := harness.ForeignCA(t)
	a, b, c := harness.IssueServer(t, ca, "a.test"), harness.IssueServer(t, ca, "b.test"), harness.IssueServer(t, ca, "c.test")
	cert := func(w *world, more, key string) string {
		return sds("s", fmt.Sprintf("tls_certificate: {certificate_chain: {filename: %q}, private_key: {filename: %q}%s}", w.path("cert.pem"), w.path(key), more))
	}
	start := func(more string) func(beside.Program, *world) {
		return func(p beside.Program, w *world) {
			w.write("cert.pem", chainPEM(a))
			w.write("key.pem", keyPEM(t, a))
			w.write("sds.yaml", cert(w, more, "key.pem"))
			secure(t, p, w, object{"common_tls_context": object{"tls_certificate_sds_secret_configs": list{object{"name": "s", "sds_config": file(w.path("sds.yaml"))}}}})
			w.ask = handshake()
		}
	}
	both(t, start(""), []step{
		{"the certificate alone", func(w *world) { w.move("cert.pem", chainPEM(b)) }},
		{"its key", func(w *world) { w.move("key.pem", keyPEM(t, b)) }},
		{"the key first", func(w *world) { w.move("key.pem", keyPEM(t, c)) }},
		{"then the certificate", func(w *world) { w.move("cert.pem", chainPEM(c)) }},
		{"written in place", func(w *world) { w.write("cert.pem", chainPEM(a)); w.write("key.pem", keyPEM(t, a)) }},
		{"something moved beside", move("any", "")},
		{"the secret moved", func(w *world) { w.move("sds.yaml", cert(w, "", "key.pem")) }},
		{"another key that is none of it", func(w *world) { w.write("key2.pem", keyPEM(t, c)); w.move("sds.yaml", cert(w, "", "key2.pem")) }},
		{"one that is", func(w *world) { w.move("cert.pem", chainPEM(b)); w.move("key2.pem", keyPEM(t, b)) }},
		{"no PEM", func(w *world) { w.move("cert.pem", "x") }},
		{"good again", func(w *world) { w.move("cert.pem", chainPEM(b)) }},
		{"a file that is not there", func(w *world) { w.move("sds.yaml", cert(w, "", "none.pem")) }},
		{"of another name", func(w *world) { w.move("sds.yaml", sds("other", "tls_certificate: {}")) }},
		{"none", move("sds.yaml", "resources: []")},
		{"the folder's", func(w *world) {
			w.move("sds.yaml", cert(w, fmt.Sprintf(", watched_directory: {path: %q}", w.dir), "key.pem"))
		}},
		{"and its certificate", func(w *world) { w.move("cert.pem", chainPEM(a)) }},
	})
	both(t, func(p beside.Program, w *world) {
		start(fmt.Sprintf(", watched_directory: {path: %q}", w.dir))(p, w)
	}, []step{
		{"written in place, and something moved", func(w *world) { w.write("cert.pem", chainPEM(b)); w.write("key.pem", keyPEM(t, b)); w.move("any", "") }},
	})
}

// TestBadPairAtStart: without a pair there is no handshake, until there is one.
func TestBadPairAtStart(t *testing.T) {
	ca := harness.ForeignCA(t)
	a, b := harness.IssueServer(t, ca, "a.test"), harness.IssueServer(t, ca, "b.test")
	both(t, func(p beside.Program, w *world) {
		w.write("cert.pem", chainPEM(a))
		w.write("key.pem", keyPEM(t, b))
		w.write("sds.yaml", sds("s", fmt.Sprintf("tls_certificate: {certificate_chain: {filename: %q}, private_key: {filename: %q}}", w.path("cert.pem"), w.path("key.pem"))))
		secure(t, p, w, object{"common_tls_context": object{"tls_certificate_sds_secret_configs": list{object{"name": "s", "sds_config": file(w.path("sds.yaml"))}}}})
		w.ask = handshake()
	}, []step{
		{"its key comes", func(w *world) { w.move("key.pem", keyPEM(t, a)) }},
	})
}

// TestRootsFromFile: whose clients are let in changes with the file of their authority.
func TestRootsFromFile(t *testing.T) {
	one, two := harness.ForeignCA(t), harness.ForeignCA(t)
	server := harness.IssueServer(t, one, "a.test")
	client := harness.Issue(t, one, "spiffe://x/ns/a/sa/b", time.Now().Add(time.Hour))
	for name, more := range map[string]string{"its file": "", "its folder": ", watched_directory: {path: %q}"} {
		t.Run(name, func(t *testing.T) {
			both(t, func(p beside.Program, w *world) {
				if more != "" {
					more = fmt.Sprintf(", watched_directory: {path: %q}", w.dir)
				}
				w.write("ca.pem", chainPEM(one))
				w.write("sds.yaml", sds("roots", fmt.Sprintf("validation_context: {trusted_ca: {filename: %q}%s}", w.path("ca.pem"), more)))
				inline := func(s string) object { return object{"inline_string": s} }
				secure(t, p, w, object{"require_client_certificate": true, "common_tls_context": object{
					"tls_certificates":                     list{object{"certificate_chain": inline(chainPEM(server)), "private_key": inline(keyPEM(t, server))}},
					"validation_context_sds_secret_config": object{"name": "roots", "sds_config": file(w.path("sds.yaml"))}}})
				w.ask = handshake(client)
			}, []step{
				{"another authority", func(w *world) { w.move("ca.pem", chainPEM(two)) }},
				{"no PEM", func(w *world) { w.move("ca.pem", "x") }},
				{"both", func(w *world) { w.move("ca.pem", chainPEM(two)+chainPEM(one)) }},
				{"written in place", func(w *world) { w.write("ca.pem", chainPEM(two)) }},
			})
		})
	}
}
