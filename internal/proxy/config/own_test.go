package config

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// identityOf is an identity that stays.
type identityOf struct {
	identity.Static
	roots []byte
}

func (i identityOf) RootsPEM() []byte { return i.roots }

// TestOwnIdentity: the proxy's own is had by its names from its own agent alone; of the same
// names in another source there are other secrets, and they are asked for there.
func TestOwnIdentity(t *testing.T) {
	ca := proxytest.NewCA(t)
	own := identityOf{ca.Source(t, "spiffe://cluster.local/ns/a/sa/b"), ca.RootPEM()}
	s, _ := store(t, "", time.Hour)
	s.o.Own = own
	s.o.Cluster = func(m *clusterv3.Cluster) (*upstream.Cluster, error) {
		return upstream.Compile(m, upstream.Options{Secrets: s})
	}
	if err := s.Static(&bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{static("cp")}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{CdsConfig: &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{}}}}); err != nil {
		t.Fatal(err)
	}
	agent, _ := fromServer(time.Second)
	agent.GetApiConfigSource().GetGrpcServices()[0].GetEnvoyGrpc().ClusterName = "sds-grpc"
	other, server := fromServer(time.Second)
	key := func(name string, c *corev3.ConfigSource) string {
		k, err := proxytls.SecretKey(&tlsv3.SdsSecretConfig{Name: name, SdsConfig: c})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	want, err := own.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.Certificate(key("default", agent)); err != nil || c != want {
		t.Errorf("its own: %v", err)
	}
	if _, err := s.Roots(key("ROOTCA", agent)); err != nil {
		t.Errorf("the mesh's: %v", err)
	}
	ads := &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{}}
	var certs []func() (*tls.Certificate, error)
	var roots []func() (*x509.CertPool, error)
	for _, c := range []*corev3.ConfigSource{ads, other, nil} {
		certs = append(certs, func() (*tls.Certificate, error) { return s.Certificate(key("default", c)) })
		roots = append(roots, func() (*x509.CertPool, error) { return s.Roots(key("ROOTCA", c)) })
	}
	for i := range certs {
		if _, err := certs[i](); err == nil {
			t.Errorf("%d: a certificate that has not come", i)
		}
		if _, err := roots[i](); err == nil {
			t.Errorf("%d: roots that have not come", i)
		}
	}
	up := static("up")
	up.TransportSocket = &corev3.TransportSocket{ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t, &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "default", SdsConfig: other}, {Name: "default", SdsConfig: ads}, {Name: "default", SdsConfig: agent}}}})}}
	if r := s.Apply(update(t, "1", up)); len(r) > 0 {
		t.Fatal(r)
	}
	if a, b := s.Wanted(xds.SecretType), s.From(server).Wanted(xds.SecretType); len(a) != 1 || len(b) != 1 || len(s.Feeds()) != 1 {
		t.Errorf("wanted: %q over ADS, %q of the server; %d feeds", a, b, len(s.Feeds()))
	}
}
