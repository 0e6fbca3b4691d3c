package config

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// TestStaticSecrets: they are asked of nobody, stay, hide nothing that comes over SDS, and
// are shown without their keys.
func TestStaticSecrets(t *testing.T) {
	own, err := proxytest.NewCA(t).Source(t, "spiffe://cluster.local/ns/a/sa/b").Certificate()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	text := func(s string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
	}
	b := &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{Secrets: []*tlsv3.Secret{{
		Name: "cert", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: text(chain), PrivateKey: text(key)}},
	}}}}
	s := New(Options{})
	t.Cleanup(s.Close)
	if err := s.Static(b); err != nil {
		t.Fatal(err)
	}
	s.Recheck()
	if c, err := s.Certificate(proxytls.StaticSecret("cert")); err != nil || c == nil {
		t.Errorf("%v %v", c, err)
	}
	if _, err := s.Certificate("cert"); err == nil {
		t.Error("it stands for one of SDS")
	}
	if n, v := s.Wanted(xds.SecretType), s.Versions(xds.SecretType); len(n)+len(v) != 0 {
		t.Errorf("wanted %v, held %v", n, v)
	}
	d := s.dumpSecrets()
	js := protojson.Format(d)
	if len(d.GetStaticSecrets()) != 1 || d.GetStaticSecrets()[0].GetName() != "cert" || len(d.GetDynamicActiveSecrets()) != 0 || strings.Contains(js, "PRIVATE KEY") {
		t.Errorf("%s", js)
	}
	if err := s.Static(b); err == nil || !strings.Contains(err.Error(), "static_resources.secrets[0].name") {
		t.Error(err)
	}
}
