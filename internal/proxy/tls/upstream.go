package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Upstream is a compiled UpstreamTlsContext.
type Upstream struct {
	common *common
	sni    string
	auto   bool
}

// CompileUpstream compiles the transport socket of a cluster. A raw buffer, and
// no socket at all, give nil.
func CompileUpstream(s *corev3.TransportSocket, secrets Secrets) (*Upstream, error) {
	if raw, err := isRaw(s); raw || err != nil {
		return nil, err
	}
	m := new(tlsv3.UpstreamTlsContext)
	if err := strict.Unpack(s.GetTypedConfig(), m); err != nil {
		return nil, strict.At("typed_config", err)
	}
	if err := strict.Only(m, "common_tls_context", "sni", "auto_host_sni", "max_session_keys"); err != nil {
		return nil, strict.At("typed_config", err)
	}
	c, err := compileCommon(m.GetCommonTlsContext(), secrets)
	if err != nil {
		return nil, strict.At("typed_config.common_tls_context", err)
	}
	return &Upstream{common: c, sni: m.GetSni(), auto: m.GetAutoHostSni()}, nil
}

// Config is the client's side of a handshake with the named host ("" if none). Of the
// context's ALPN it offers what goes with the protocols that may be spoken, "h2" and
// "http/1.1"; if the context has none and HTTP/2 may be, these.
// The peer is verified as the context says: its chain against the trusted roots,
// and one of its names against the matchers. A context without roots verifies
// nothing, as in Envoy; with matchers alone it is refused when compiled.
// Own is the certificate that a host is shown if it asks, nil if there is none.
func (u *Upstream) Config(host string, protocols ...string) (config *tls.Config, own *x509.Certificate) {
	name := u.sni
	if name == "" && u.auto {
		name = host
	}
	c := u.common.base()
	c.ServerName = name
	if len(c.NextProtos) == 0 && slices.Contains(protocols, "h2") {
		c.NextProtos = protocols
	}
	for _, p := range []string{"h2", "http/1.1"} {
		if !slices.Contains(protocols, p) {
			c.NextProtos = without(c.NextProtos, p)
		}
	}
	// The chain is verified below, in VerifyConnection: crypto/tls would also
	// want the server's name to be a DNS name of the certificate.
	c.InsecureSkipVerify = true
	cert, err := new(tls.Certificate), error(nil)
	if len(u.common.certs) > 0 {
		cert, err = u.common.certs[0]()
	}
	if err == nil && cert != nil {
		own = cert.Leaf
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, err }
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the server showed no certificate")
		}
		if !u.common.validates() {
			return nil
		}
		_, err := u.common.verify(s, serverAuth)
		return err
	}
	return c, own
}

// Verifies tells whether the server's certificate matters.
func (u *Upstream) Verifies() bool { return u.common.validates() }

// isRaw tells whether s is no TLS at all.
func isRaw(s *corev3.TransportSocket) (bool, error) {
	if s == nil {
		return true, nil
	}
	if err := strict.Only(s, "name", "typed_config"); err != nil {
		return false, err
	}
	switch {
	case s.GetTypedConfig().MessageIs(&rawv3.RawBuffer{}):
		return true, nil
	case s.GetTypedConfig().GetTypeUrl() == "":
		if s.GetName() == "envoy.transport_sockets.raw_buffer" || s.GetName() == "raw_buffer" {
			return true, nil
		}
		return false, strict.Errorf("typed_config", "missing for %q", s.GetName())
	}
	return false, nil
}

var errNoRoots = fmt.Errorf("names are matched but no trusted_ca is given")
