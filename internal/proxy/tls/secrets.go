// Package tls compiles Envoy's TLS contexts to crypto/tls configurations. It owns
// who may be at the other end of a connection: chain, subject alternative names,
// versions, ALPN. Certificates and roots are asked for at each handshake, so that
// rotation needs no new configuration. It knows no xDS and no identity source.
package tls

import (
	"crypto/tls"
	"crypto/x509"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Secrets gives what SecretKey names. It is asked at each handshake. An error refuses the
// connection.
type Secrets interface {
	Certificate(name string) (*tls.Certificate, error)
	Roots(name string) (*x509.CertPool, error)
}

// The proxy's own identity, as Istio names it and where Istio has it from: the proxy's own
// agent. The same names in another source are that source's secrets. An authority that is
// not the mesh's, such as a gateway's for its clients, vouches for its own clients and for no
// identity of the mesh, whatever it writes into certificates.
const (
	agent     = "sds-grpc"
	meshRoots = "ROOTCA"
	meshCert  = "default"
)

// The names that Secrets knows the proxy's own identity by.
const (
	OwnCertificate = "\x00own " + meshCert
	OwnRoots       = "\x00own " + meshRoots
)

// StaticSecret is the name that Secrets knows a secret of the bootstrap by: one that is
// referred to without an sds_config. No name of SDS begins so.
func StaticSecret(name string) string { return "\x00static " + name }

// SecretName gives the name of a secret, as configurations have it, for errors.
func SecretName(key string) string {
	for _, kind := range []string{"\x00static ", "\x00own "} {
		if name, ok := strings.CutPrefix(key, kind); ok {
			return name
		}
	}
	return origin.Parse(key).Name
}

// SecretKey gives the name that Secrets knows a secret by that a TLS context refers to.
func SecretKey(s *tlsv3.SdsSecretConfig) (string, error) {
	if s.GetSdsConfig() == nil {
		return StaticSecret(s.GetName()), nil
	}
	source, err := origin.Of(s.GetSdsConfig())
	switch {
	case err != nil:
		return "", strict.At("sds_config", err)
	case source.Cluster == agent && s.GetName() == meshCert:
		return OwnCertificate, nil
	case source.Cluster == agent && s.GetName() == meshRoots:
		return OwnRoots, nil
	}
	return origin.Name{Source: source, Name: s.GetName()}.Key(), nil
}
