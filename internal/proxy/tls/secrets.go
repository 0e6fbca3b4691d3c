// Package tls compiles Envoy's TLS contexts to crypto/tls configurations. It owns
// who may be at the other end of a connection: chain, subject alternative names,
// versions, ALPN. Certificates and roots are asked for at each handshake, so that
// rotation needs no new configuration. It knows no xDS and no identity source.
package tls

import (
	"crypto/tls"
	"crypto/x509"
)

// Secrets gives what SDS names stand for: "default" (the proxy's own
// certificate), "ROOTCA" (the mesh's roots), "kubernetes://ns/name". It is asked
// at each handshake. An error refuses the connection.
type Secrets interface {
	Certificate(name string) (*tls.Certificate, error)
	Roots(name string) (*x509.CertPool, error)
}

// meshRoots is the SDS name of the mesh's roots. An authority of another name, such as
// a gateway's for its clients, vouches for its own clients and for no identity of
// the mesh, whatever it writes into certificates.
const meshRoots = "ROOTCA"

// meshCert is the SDS name of the proxy's own certificate.
const meshCert = "default"

// StaticSecret is the name that Secrets knows a secret of the bootstrap by: one that is
// referred to without an sds_config. No name of SDS begins so.
func StaticSecret(name string) string { return "\x00static " + name }
