package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// TestRejudge: open connections are judged again for what decides who is let in,
// and not for endpoints, which come often.
func TestRejudge(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	l := lis(t, "l", "", "", "r")
	l.FilterChains[0].TransportSocket = &corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t,
		&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "kubernetes://a/b"}}}})}}
	s.Apply(update(t, "1", eds("a")))
	s.Apply(update(t, "1", l))
	root, err := someRoot(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		m    proto.Message
		want int
	}{
		{"the first endpoints", &endpointv3.ClusterLoadAssignment{ClusterName: "a"}, 0},
		{"the first routes", routes("r", "a"), 1},
		{"endpoints", &endpointv3.ClusterLoadAssignment{ClusterName: "a", Endpoints: []*endpointv3.LocalityLbEndpoints{{}}}, 0},
		{"the same routes", routes("r", "a"), 0},
		{"other routes", routes("r", "b"), 1},
		{"roots", &tlsv3.Secret{Name: "kubernetes://a/b", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: root}}}}}, 1},
	} {
		before := ls.rejudged
		if r := s.Apply(update(t, "2", step.m)); len(r) > 0 {
			t.Fatal(step.name, r)
		}
		if got := ls.rejudged - before; got != step.want {
			t.Errorf("%s: judged again %d times, want %d", step.name, got, step.want)
		}
	}
	before := ls.rejudged
	s.Apply(xds.Update{Type: xds.SecretType, Removed: []string{"kubernetes://a/b"}})
	if ls.rejudged == before {
		t.Error("roots are gone, and nobody is judged again")
	}
}

// someRoot makes an authority's certificate.
func someRoot(t *testing.T) ([]byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}
