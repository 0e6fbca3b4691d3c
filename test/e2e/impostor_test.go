package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

const customerID = "spiffe://cluster.local/ns/tutorial/sa/default"

// TestImpostorsAsClients call a STRICT sidecar with certificates that are not good.
func TestImpostorsAsClients(t *testing.T) {
	m := harness.Up(t)
	m.Apply(fmt.Sprintf(peerAuthentication, "tutorial", "STRICT"))
	inbound := m.Status()["tutorial/recommendation-v1"].Addresses.Inbound[0]
	call := func(certs ...tls.Certificate) (string, error) {
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			// The name of the server is no DNS name; who it is is not the matter here.
			TLSClientConfig: &tls.Config{Certificates: certs, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
		}}
		r, err := client.Get("https://" + inbound + "/")
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	// The good one must pass, or the others prove nothing.
	if out, err := call(m.Identity("tutorial", "customer-v1")); err != nil || !strings.HasPrefix(out, "recommendation v1") {
		t.Fatalf("the customer's own certificate: %q, %v", out, err)
	}
	now := time.Now()
	for name, certs := range map[string][]tls.Certificate{
		"no certificate":        nil,
		"another authority":     {harness.Issue(t, harness.ForeignCA(t), customerID, now.Add(time.Hour))},
		"expired":               {harness.Issue(t, m.CA(), customerID, now.Add(-time.Minute))},
		"not yet valid":         {harness.Issue(t, m.CA(), customerID, now.Add(48*time.Hour))},
		"another trust domain":  {harness.Issue(t, m.CA(), "spiffe://elsewhere/ns/tutorial/sa/default", now.Add(time.Hour))},
		"no SPIFFE ID of Istio": {harness.Issue(t, m.CA(), "https://customer", now.Add(time.Hour))},
	} {
		if out, err := call(certs...); err == nil {
			t.Errorf("%s: answered %q", name, out)
		}
	}
}

// TestImpostorAsServer puts a server behind the service preference whose certificate
// is good, but that of another service.
func TestImpostorAsServer(t *testing.T) {
	m := harness.Up(t)
	m.Kubectl("create", "serviceaccount", "other")
	m.Usher("stop", "preference-v1")
	// The Service went with its last workload; this one stays.
	if out, err := m.TryKubectl("apiVersion: v1\nkind: Service\nmetadata: {name: preference, namespace: tutorial}\n"+
		"spec: {selector: {app: preference}, ports: [{name: http, port: 8080}]}\n", "create", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	serve := func(id string) (addr string) {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			Certificates: []tls.Certificate{harness.Issue(t, m.CA(), id, time.Now().Add(time.Hour))},
			ClientAuth:   tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12,
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "impostor") })}
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
		return l.Addr().String()
	}
	entry := func(addr string) {
		m.Apply(fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"+
			"metadata: {name: preference-x, namespace: tutorial, labels: {app: preference, security.istio.io/tlsMode: istio}}\n"+
			"spec: {address: 127.0.0.1, serviceAccount: default, ports: {http: %d}}\n", harness.Port(t, addr)))
	}
	// With the identity that the service has, the server is believed.
	entry(serve(customerID))
	if a := m.MustGet("/customer", ""); !strings.Contains(a.Body, "impostor") {
		t.Fatalf("a server with the service's identity: %d %q", a.Status, a.Body)
	}
	entry(serve("spiffe://cluster.local/ns/tutorial/sa/other"))
	if a := m.MustGet("/customer", ""); a.Status == http.StatusOK || strings.Contains(a.Body, "impostor") {
		t.Errorf("a server with another's identity: %d %q", a.Status, a.Body)
	}
}
