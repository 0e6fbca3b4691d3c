package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"time"

	"github.com/usher-mesh/usher/internal/identity"
)

// writeCertificates makes an authority (ca.crt) and the P-256 certificate that both
// ends of `mesh` show (workload.crt, workload.key).
func (s *site) writeCertificates() error {
	id, err := url.Parse(s.SPIFFE)
	if err != nil {
		return err
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: s.Workload}, NotBefore: from, NotAfter: until,
		DNSNames: []string{s.Workload}, URIs: []*url.URL{id}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := s.writeCertificate("ca.crt", ca, ca, &caKey.PublicKey, caKey); err != nil {
		return err
	}
	if err := s.writeCertificate("workload.crt", leaf, ca, &key.PublicKey, caKey); err != nil {
		return err
	}
	text, err := identity.EncodeKey(key)
	if err != nil {
		return err
	}
	return s.write("workload.key", text)
}

func (s *site) writeCertificate(name string, c, issuer *x509.Certificate, pub *ecdsa.PublicKey, by *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, pub, by)
	if err != nil {
		return err
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	return s.write(name, identity.EncodeCertificates(signed))
}
