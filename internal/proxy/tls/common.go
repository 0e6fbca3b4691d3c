package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

const (
	serverAuth = x509.ExtKeyUsageServerAuth
	clientAuth = x509.ExtKeyUsageClientAuth
)

// common is a compiled CommonTlsContext.
type common struct {
	parameters
	alpn    []string
	certs   []func() (*tls.Certificate, error)
	roots   func() (*x509.CertPool, error) // nil: the peer is not verified
	foreign bool                           // roots are not the mesh's
	names   []nameMatcher                  // one must match; none: any
}

func compileCommon(m *tlsv3.CommonTlsContext, secrets Secrets) (*common, error) {
	c := &common{alpn: slices.Clone(m.GetAlpnProtocols())}
	if err := strict.Only(m, "tls_params", "tls_certificates", "tls_certificate_sds_secret_configs", "validation_context",
		"validation_context_sds_secret_config", "combined_validation_context", "alpn_protocols"); err != nil {
		return nil, err
	}
	var err error
	if c.parameters, err = compileParameters(m.GetTlsParams()); err != nil {
		return nil, strict.At("tls_params", err)
	}
	for i, t := range m.GetTlsCertificates() {
		cert, err := staticCertificate(t)
		if err != nil {
			return nil, strict.AtIndex("tls_certificates", i, err)
		}
		c.certs = append(c.certs, func() (*tls.Certificate, error) { return cert, nil })
	}
	for i, s := range m.GetTlsCertificateSdsSecretConfigs() {
		name, err := secretName(s, secrets)
		if err == nil && s.GetSdsConfig() == nil {
			_, err = secrets.Certificate(name) // it is there, or will never be
		}
		if err != nil {
			return nil, strict.AtIndex("tls_certificate_sds_secret_configs", i, err)
		}
		c.certs = append(c.certs, func() (*tls.Certificate, error) { return secrets.Certificate(name) })
	}
	if err := c.validation(m, secrets); err != nil {
		return nil, err
	}
	if len(c.names) > 0 && c.roots == nil {
		return nil, errNoRoots
	}
	return c, nil
}

// without gives the protocols but one.
func without(list []string, protocol string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(p string) bool { return p == protocol })
}

func (c *common) validation(m *tlsv3.CommonTlsContext, secrets Secrets) error {
	switch {
	case m.GetValidationContext() != nil:
		return strict.At("validation_context", c.context(m.GetValidationContext()))
	case m.GetValidationContextSdsSecretConfig() != nil:
		return strict.At("validation_context_sds_secret_config", c.sdsRoots(m.GetValidationContextSdsSecretConfig(), secrets))
	case m.GetCombinedValidationContext() != nil:
		v := m.GetCombinedValidationContext()
		if err := strict.Only(v, "default_validation_context", "validation_context_sds_secret_config"); err != nil {
			return strict.At("combined_validation_context", err)
		}
		if d := v.GetDefaultValidationContext(); d != nil {
			if err := c.context(d); err != nil {
				return strict.At("combined_validation_context.default_validation_context", err)
			}
		}
		return strict.At("combined_validation_context.validation_context_sds_secret_config",
			c.sdsRoots(v.GetValidationContextSdsSecretConfig(), secrets))
	}
	return nil
}

func (c *common) sdsRoots(s *tlsv3.SdsSecretConfig, secrets Secrets) error {
	name, err := secretName(s, secrets)
	if err == nil && s.GetSdsConfig() == nil {
		_, err = secrets.Roots(name)
	}
	if err != nil {
		return err
	}
	c.roots, c.foreign = func() (*x509.CertPool, error) { return secrets.Roots(name) }, name != OwnRoots
	return nil
}

func secretName(s *tlsv3.SdsSecretConfig, secrets Secrets) (string, error) {
	if err := strict.Only(s, "name", "sds_config"); err != nil {
		return "", err
	}
	if s.GetName() == "" {
		return "", strict.Errorf("name", "empty")
	}
	if secrets == nil {
		return "", errors.New("no source of secrets")
	}
	if _, err := origin.Open(s.GetSdsConfig()); err != nil {
		return "", strict.At("sds_config", err)
	}
	return SecretKey(s)
}

func (c *common) context(v *tlsv3.CertificateValidationContext) error {
	if err := strict.Only(v, "trusted_ca", "match_typed_subject_alt_names", "system_root_certs", "trust_chain_verification"); err != nil {
		return err
	}
	if v.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN {
		return strict.Errorf("trust_chain_verification", "%w", strict.ErrUnsupported)
	}
	switch {
	case v.GetTrustedCa() != nil:
		pem, err := Data(v.GetTrustedCa())
		if err != nil {
			return strict.At("trusted_ca", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return strict.Errorf("trusted_ca", "holds no PEM certificate")
		}
		c.roots = func() (*x509.CertPool, error) { return pool, nil }
	case v.GetSystemRootCerts() != nil:
		c.roots = x509.SystemCertPool
	}
	for i, m := range v.GetMatchTypedSubjectAltNames() {
		n, err := compileName(m)
		if err != nil {
			return strict.AtIndex("match_typed_subject_alt_names", i, err)
		}
		c.names = append(c.names, n)
	}
	return nil
}

func staticCertificate(t *tlsv3.TlsCertificate) (*tls.Certificate, error) {
	if err := strict.Only(t, "certificate_chain", "private_key"); err != nil {
		return nil, err
	}
	chain, err := Data(t.GetCertificateChain())
	if err != nil {
		return nil, strict.At("certificate_chain", err)
	}
	key, err := Data(t.GetPrivateKey())
	if err != nil {
		return nil, strict.At("private_key", err)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate_chain and private_key: %w", err)
	}
	return &cert, nil
}

// maxData bounds files that a DataSource names.
const maxData = 1 << 20

// Data reads a DataSource: a file, inline bytes or text, or a variable of the
// environment.
func Data(d *corev3.DataSource) ([]byte, error) {
	if err := strict.Only(d, "filename", "inline_bytes", "inline_string", "environment_variable"); err != nil {
		return nil, err
	}
	switch s := d.GetSpecifier().(type) {
	case *corev3.DataSource_Filename:
		return atomicfile.ReadLimited(s.Filename, maxData)
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, nil
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString), nil
	case *corev3.DataSource_EnvironmentVariable:
		return []byte(os.Getenv(s.EnvironmentVariable)), nil
	}
	return nil, errors.New("missing")
}

func (c *common) validates() bool { return c.roots != nil }

// base is what both sides of a handshake share.
func (c *common) base() *tls.Config {
	return &tls.Config{MinVersion: c.min, MaxVersion: c.max, CipherSuites: c.suites, CurvePreferences: c.groups, NextProtos: c.alpn}
}

// verify checks the peer's chain and names, and tells when the chain ends. It runs
// in VerifyConnection, thus on resumed sessions too.
func (c *common) verify(s tls.ConnectionState, usage x509.ExtKeyUsage) (until time.Time, err error) {
	roots, err := c.roots()
	if err != nil {
		return until, fmt.Errorf("trusted roots: %w", err)
	}
	if roots == nil {
		return until, errors.New("trusted roots: none")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, i := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(i)
	}
	leaf := s.PeerCertificates[0]
	if leaf.IsCA {
		return until, errors.New("the peer's certificate is an authority's")
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		return until, err
	}
	for _, chain := range chains {
		if end := Ends(chain); end.After(until) {
			until = end
		}
	}
	if len(c.names) == 0 {
		return until, nil
	}
	for _, n := range c.names {
		if n.match(leaf) {
			return until, nil
		}
	}
	return until, errors.New("no subject alternative name of the peer is among those expected")
}
