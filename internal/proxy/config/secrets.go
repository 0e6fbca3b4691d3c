package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// secretEntry is a secret that came over SDS, or one of the bootstrap.
type secretEntry struct {
	held
	cert   *tls.Certificate
	roots  *x509.CertPool
	static bool              // of the bootstrap
	sum    [sha256.Size]byte // of what its files held
}

func (s *Store) putSecret(key string, r xds.Resource) error {
	m, err := s.decodeSecret(r)
	if err != nil {
		return err
	}
	if origin.Parse(key).Source.Path != "" {
		return s.putRotating(key, r, m)
	}
	e, err := compileSecret(m, inline)
	if err != nil {
		return err
	}
	e.held = hold(r)
	s.secrets[key] = e
	return nil
}

// putStatic puts a secret of the bootstrap, which may name files.
func (s *Store) putStatic(m *tlsv3.Secret) error {
	name := proxytls.StaticSecret(m.GetName())
	if m.GetName() == "" || s.secrets[name] != nil {
		return strict.Errorf("name", "%q: empty, or there already", m.GetName())
	}
	e, err := compileSecret(m, proxytls.Data)
	if err != nil {
		return err
	}
	r, err := resource(name, m)
	if err != nil {
		return err
	}
	e.held, e.static = hold(r), true
	s.secrets[name] = e
	return nil
}

type reader func(*corev3.DataSource) ([]byte, error)

func compileSecret(m *tlsv3.Secret, read reader) (e *secretEntry, err error) {
	e = &secretEntry{}
	if err := strict.Only(m, "name", "tls_certificate", "validation_context"); err != nil {
		return nil, err
	}
	switch {
	case m.GetTlsCertificate() != nil:
		e.cert, err = certificate(m.GetTlsCertificate(), read)
		err = strict.At("tls_certificate", err)
	case m.GetValidationContext() != nil:
		e.roots, err = roots(m.GetValidationContext(), read)
		err = strict.At("validation_context", err)
	default:
		err = errors.New("neither a certificate nor roots")
	}
	return e, err
}

func certificate(m *tlsv3.TlsCertificate, read reader) (*tls.Certificate, error) {
	if err := strict.Only(m, "certificate_chain", "private_key"); err != nil {
		return nil, err
	}
	chain, err := read(m.GetCertificateChain())
	if err != nil {
		return nil, strict.At("certificate_chain", err)
	}
	key, err := read(m.GetPrivateKey())
	if err != nil {
		return nil, strict.At("private_key", err)
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func roots(m *tlsv3.CertificateValidationContext, read reader) (*x509.CertPool, error) {
	if err := strict.Only(m, "trusted_ca"); err != nil {
		return nil, err
	}
	text, err := read(m.GetTrustedCa())
	if err != nil {
		return nil, strict.At("trusted_ca", err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, strict.Errorf("trusted_ca", "no certificate in it")
	}
	return p, nil
}

// inline refuses what would read files of this machine for the control plane.
func inline(d *corev3.DataSource) ([]byte, error) {
	switch d.GetSpecifier().(type) {
	case *corev3.DataSource_InlineBytes, *corev3.DataSource_InlineString:
		return proxytls.Data(d)
	}
	return nil, fmt.Errorf("must be inline: %w", strict.ErrUnsupported)
}

var _ proxytls.Secrets = (*Store)(nil)

var errNoSecret = errors.New("the secret has not come")

// Certificate gives the certificate of that key (proxytls.SecretKey) as it is now.
func (s *Store) Certificate(name string) (*tls.Certificate, error) {
	if name == proxytls.OwnCertificate {
		if s.o.Own == nil {
			return nil, errors.New("this proxy has no identity of its own")
		}
		return s.o.Own.Certificate()
	}
	if e := (*s.served.Load())[name]; e != nil && e.cert != nil {
		return e.cert, nil
	}
	return nil, fmt.Errorf("certificate %q: %w", proxytls.SecretName(name), errNoSecret)
}

// Roots gives the roots of that key as they are now.
func (s *Store) Roots(name string) (*x509.CertPool, error) {
	if name == proxytls.OwnRoots {
		if s.o.Own == nil {
			return nil, errors.New("this proxy has no identity of its own")
		}
		return s.o.Own.Roots()
	}
	if e := (*s.served.Load())[name]; e != nil && e.roots != nil {
		return e.roots, nil
	}
	return nil, fmt.Errorf("roots %q: %w", proxytls.SecretName(name), errNoSecret)
}
