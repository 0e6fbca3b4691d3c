package identity

import (
	"crypto/tls"
	"crypto/x509"
)

// CertificateSource gives the certificate, with chain, key and Leaf, that proves
// who we are now. It is asked at each handshake, from many goroutines.
type CertificateSource interface {
	Certificate() (*tls.Certificate, error)
}

// RootSource gives the certificates that peers must chain to now.
type RootSource interface {
	Roots() (*x509.CertPool, error)
}

// Source is both sides of an identity.
type Source interface {
	CertificateSource
	RootSource
}

// Static is a Source that never changes.
type Static struct {
	Cert *tls.Certificate
	Pool *x509.CertPool
}

var _ Source = Static{}

// Certificate gives Cert.
func (s Static) Certificate() (*tls.Certificate, error) {
	if s.Cert == nil {
		return nil, ErrNoCertificate
	}
	return s.Cert, nil
}

// Roots gives Pool.
func (s Static) Roots() (*x509.CertPool, error) {
	if s.Pool == nil {
		return nil, ErrNoRoots
	}
	return s.Pool, nil
}
