package xds

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"github.com/usher-mesh/usher/internal/control/ca"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhoIsLetIn(t *testing.T) {
	h := start(t, Limits{WaitForEntry: 20 * time.Millisecond})
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "1")},
		work("tutorial", "customer-v1", "customer"), work("tutorial", "v1.dotted", "customer"))
	customer := h.source("tutorial", "customer", 0)
	for _, c := range []struct {
		name string
		src  identity.Source
		node *corev3.Node
		code codes.Code // OK: let in
		text string
	}{
		{"its own", customer, nodeOf("sidecar", "tutorial", "customer-v1"), codes.OK, ""},
		{"a name with dots", customer, nodeOf("sidecar", "tutorial", "v1.dotted"), codes.OK, ""},
		{"another service account", h.source("tutorial", "default", 0), nodeOf("sidecar", "tutorial", "customer-v1"),
			codes.PermissionDenied, `WorkloadEntry tutorial/customer-v1 has service account "customer", but the certificate proves spiffe://cluster.local/ns/tutorial/sa/default`},
		{"the same account of another namespace", h.source("prod", "customer", 0), nodeOf("sidecar", "tutorial", "customer-v1"),
			codes.PermissionDenied, `is of namespace "tutorial", but the certificate proves spiffe://cluster.local/ns/prod/sa/customer`},
		{"another namespace's node", customer, nodeOf("sidecar", "prod", "customer-v1"),
			codes.PermissionDenied, `is of namespace "prod"`},
		{"no such entry", customer, nodeOf("sidecar", "tutorial", "customer-v2"),
			codes.PermissionDenied, "there is no WorkloadEntry tutorial/customer-v2"},
		{"no node", customer, nil, codes.InvalidArgument, "node: the first request must have it"},
		{"a node of another form", customer, &corev3.Node{Id: "customer"}, codes.InvalidArgument, "not of the form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := h.dial(c.src)
			cl.t = t
			defer cl.close()
			cl.send(request(c.node, xdsgen.ClusterType))
			if c.code == codes.OK {
				cl.expect("cluster a@1")
				return
			}
			s := cl.ended()
			if s.Code() != c.code || !strings.Contains(s.Message(), c.text) {
				t.Errorf("ended with %s %q, want %s %q", s.Code(), s.Message(), c.code, c.text)
			}
		})
	}
}

func TestCertificateOfAnotherAuthority(t *testing.T) {
	h := start(t, Limits{})
	other, err := ca.Open(t.TempDir(), ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	roots, err := h.authority.Roots()
	if err != nil {
		t.Fatal(err)
	}
	stranger := issue(t, other, "tutorial", "customer", 0)
	stranger.Pool = roots
	if err := h.handshake(identity.ClientTLS(stranger, []string{controlPlane})); err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("let in, or refused otherwise: %v", err)
	}
}

// handshake gives the server's refusal, which in TLS 1.3 comes after the client's
// handshake.
func (h *harness) handshake(cfg *tls.Config) error {
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", h.addr, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	for range 3 { // the server's settings, then nothing or the refusal
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if _, err = conn.Read(buf); err != nil {
			return err
		}
	}
	return nil
}

func TestNoCertificate(t *testing.T) {
	h := start(t, Limits{})
	roots, err := h.authority.Roots()
	if err != nil {
		t.Fatal(err)
	}
	err = h.handshake(identity.RootsTLS(identity.Static{Pool: roots}, []string{controlPlane}))
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a client without a certificate: %v", err)
	}
}

func TestEntryWrittenJustNow(t *testing.T) {
	h := start(t, Limits{})
	h.serve(nil)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	h.serve(nil)
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "1")}, work("tutorial", "customer-v1", "customer"))
	c.expect("cluster a@1")
}

func TestEntryGone(t *testing.T) {
	h := start(t, Limits{Grace: 30 * time.Millisecond})
	w := work("tutorial", "customer-v1", "customer")
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "1")}, w)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	c.ack(c.expect("cluster a@1"))
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "2")}) // what is new is not for it
	s := c.ended()
	if s.Code() != codes.PermissionDenied || s.Message() != "WorkloadEntry tutorial/customer-v1 is gone" {
		t.Errorf("ended with %v", s)
	}
}

func TestEntryBackWithinGrace(t *testing.T) {
	h := start(t, Limits{Grace: time.Minute})
	w := work("tutorial", "customer-v1", "customer")
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "1")}, w)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	c.ack(c.expect("cluster a@1"))
	h.serve(nil)
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "2")}, w)
	c.expect("cluster a@2")
}

func TestEntryOfAnotherAccountNow(t *testing.T) {
	h := start(t, Limits{})
	h.serve(nil, work("tutorial", "customer-v1", "customer"))
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	c.ack(c.expect("cluster"))
	h.serve(nil, work("tutorial", "customer-v1", "other"))
	if s := c.ended(); s.Code() != codes.PermissionDenied {
		t.Errorf("ended with %v", s)
	}
}

func TestCertificateExpires(t *testing.T) {
	h := start(t, Limits{})
	h.serve(nil, work("tutorial", "customer-v1", "customer"))
	c := h.dial(h.source("tutorial", "customer", 1500*time.Millisecond))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	if s := c.ended(); s.Code() != codes.Unauthenticated || s.Message() != "the client's certificate has expired" {
		t.Errorf("ended with %v", s)
	}
}

func TestTooManyStreams(t *testing.T) {
	h := start(t, Limits{StreamsPerWorkload: 2})
	h.serve(nil, work("tutorial", "customer-v1", "customer"))
	src := h.source("tutorial", "customer", 0)
	n := nodeOf("sidecar", "tutorial", "customer-v1")
	for range 2 {
		c := h.dial(src)
		c.sub(n, xdsgen.ClusterType)
		c.expect("cluster")
	}
	c := h.dial(src)
	c.sub(n, xdsgen.ClusterType)
	if s := c.ended(); s.Code() != codes.ResourceExhausted {
		t.Errorf("ended with %v", s)
	}
}

func TestSecrets(t *testing.T) {
	own, foreign := "kubernetes://istio-system/cert", "kubernetes://prod/cert"
	all := []*xdsgen.Resource{res(xdsgen.SecretType, own, "1"), res(xdsgen.SecretType, foreign, "1")}
	h := start(t, Limits{})
	h.serve(all, work("istio-system", "gw", "gateway"), work("prod", "app", "gateway"))

	gw := h.dial(h.source("istio-system", "gateway", 0))
	gw.sub(nodeOf("router", "istio-system", "gw"), xdsgen.SecretType, own)
	gw.ack(gw.expect("secret " + own + "@1"))
	for _, n := range []string{foreign, "kubernetes://istio-system/", "kubernetes://", "cert", "kubernetes://prod/../istio-system/cert"} {
		gw.sub(nil, xdsgen.SecretType, n)
		gw.ack(gw.expect("secret -" + n))
	}
	// A sidecar gets none, not even of its own namespace.
	app := h.dial(h.source("prod", "gateway", 0))
	app.sub(nodeOf("sidecar", "prod", "app"), xdsgen.SecretType, foreign)
	app.ack(app.expect("secret -" + foreign))
	// Nor by claiming to have it.
	r := request(nil, xdsgen.SecretType, foreign)
	r.InitialResourceVersions = map[string]string{foreign: "0"}
	app.send(r)
	app.ack(app.expect("secret -" + foreign))
	app.sub(nil, xdsgen.SecretType, "*")
	if s := app.ended(); s.Code() != codes.InvalidArgument {
		t.Errorf("a wildcard of secrets: %v", s)
	}
}
