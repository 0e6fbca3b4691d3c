package tls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Downstream is a compiled DownstreamTlsContext.
type Downstream struct {
	common  *common
	require bool
	config  *tls.Config
	tickets bool
}

// CompileDownstream compiles the transport socket of a filter chain. A raw
// buffer, and no socket at all, give nil.
func CompileDownstream(s *corev3.TransportSocket, secrets Secrets) (*Downstream, error) {
	if raw, err := isRaw(s); raw || err != nil {
		return nil, err
	}
	m := new(tlsv3.DownstreamTlsContext)
	if err := strict.Unpack(s.GetTypedConfig(), m); err != nil {
		return nil, strict.At("typed_config", err)
	}
	if err := strict.Only(m, "common_tls_context", "require_client_certificate", "disable_stateless_session_resumption",
		"disable_stateful_session_resumption", "session_timeout", "prefer_client_ciphers"); err != nil {
		return nil, strict.At("typed_config", err)
	}
	c, err := compileCommon(m.GetCommonTlsContext(), secrets)
	if err != nil {
		return nil, strict.At("typed_config.common_tls_context", err)
	}
	if len(c.certs) == 0 {
		return nil, strict.Errorf("typed_config.common_tls_context", "no certificate for the server")
	}
	d := &Downstream{common: c, require: m.GetRequireClientCertificate().GetValue()}
	if d.require && !c.validates() {
		return nil, strict.Errorf("typed_config.require_client_certificate", "without a validation context that says whom to trust")
	}
	d.tickets = !m.GetDisableStatelessSessionResumption()
	d.config = d.build()
	return d, nil
}

// Config is the server's side of a handshake. It is shared; do not change it.
func (d *Downstream) Config() *tls.Config { return d.config }

// WithoutHTTP2 is the context for a server that does not speak HTTP/2, so that ALPN
// does not agree on it.
func (d *Downstream) WithoutHTTP2() *Downstream {
	if !slices.Contains(d.common.alpn, "h2") {
		return d
	}
	common := *d.common
	common.alpn = without(common.alpn, "h2")
	other := &Downstream{common: &common, require: d.require, tickets: d.tickets}
	other.config = other.build()
	return other
}

func (d *Downstream) build() *tls.Config {
	c := d.common.base()
	c.SessionTicketsDisabled = !d.tickets
	c.GetCertificate = d.certificate
	switch {
	case d.require:
		c.ClientAuth = tls.RequireAnyClientCert
	case d.common.validates():
		c.ClientAuth = tls.RequestClientCert
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		_, err := d.Verify(s)
		return err
	}
	// As BoringSSL does: without a protocol in common the handshake goes on without one,
	// where crypto/tls would refuse it.
	none := c.Clone()
	none.NextProtos = nil
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		d.note(h)
		if len(c.NextProtos) == 0 || slices.ContainsFunc(h.SupportedProtos, func(p string) bool { return slices.Contains(c.NextProtos, p) }) {
			return nil, nil
		}
		return none, nil
	}
	return c
}

// Verify checks a client's certificate against the context, at the handshake and
// again when what an open connection rests on has changed. It tells when the chain
// ends; the zero time if the client has none.
func (d *Downstream) Verify(s tls.ConnectionState) (until time.Time, err error) {
	if len(s.PeerCertificates) == 0 {
		if d.require {
			return time.Time{}, errors.New("the client showed no certificate")
		}
		return time.Time{}, nil
	}
	if !d.common.validates() {
		return time.Time{}, errors.New("a client certificate that nobody verifies")
	}
	return d.common.verify(s, clientAuth)
}

// Foreign tells whether clients are verified by an authority that came over SDS and
// is not the mesh's.
func (d *Downstream) Foreign() bool { return d.common.foreign }

// Ends tells when the first of some certificates expires.
func Ends(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// certificate picks the first certificate that suits the client's hello.
func (d *Downstream) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var first error
	var fallback *tls.Certificate
	for _, get := range d.common.certs {
		c, err := get()
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if len(d.common.certs) == 1 || h.SupportsCertificate(c) == nil {
			return c, nil
		}
		if fallback == nil {
			fallback = c
		}
	}
	if fallback != nil {
		return fallback, nil
	}
	return nil, first
}

// Hash is the SHA-256 of the leaf certificate of s, for X-Forwarded-Client-Cert.
func Hash(s *tls.ConnectionState) (h [sha256.Size]byte, ok bool) {
	if len(s.PeerCertificates) == 0 {
		return h, false
	}
	return sha256.Sum256(s.PeerCertificates[0].Raw), true
}

// LocalURI gives the URI SAN of the certificate that the server shows, "" if it
// has none.
func (d *Downstream) LocalURI() string {
	for _, get := range d.common.certs {
		c, err := get()
		if err != nil || c == nil || c.Leaf == nil {
			continue
		}
		if len(c.Leaf.URIs) > 0 {
			return c.Leaf.URIs[0].String()
		}
	}
	return ""
}
