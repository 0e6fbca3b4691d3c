// Package identitytest makes certificate authorities in memory, for tests of
// whatever judges identities. Unlike the mesh's authority they certify anything.
package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/identity"
)

// Authority is a root that lives as long as the test.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	Now  time.Time // certificates are good for an hour on either side
}

// New makes a root of the given name at the given time.
func New(tb testing.TB, name string, now time.Time) *Authority {
	tb.Helper()
	key := newKey(tb)
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	return &Authority{Cert: sign(tb, t, t, key.Public(), key), Key: key, Now: now}
}

// Pool holds the root.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// PEM is the root as text.
func (a *Authority) PEM() []byte { return identity.EncodeCertificates(a.Cert) }

// Sign certifies a public key: id as URI SAN, both uses, changed by mods.
func (a *Authority) Sign(tb testing.TB, id string, pub crypto.PublicKey, mods ...func(*x509.Certificate)) []*x509.Certificate {
	tb.Helper()
	u, err := url.Parse(id)
	if err != nil {
		tb.Fatal(err)
	}
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(2),
		NotBefore:             a.Now.Add(-time.Hour),
		NotAfter:              a.Now.Add(time.Hour),
		URIs:                  []*url.URL{u},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, m := range mods {
		m(t)
	}
	return []*x509.Certificate{sign(tb, t, a.Cert, pub, a.Key), a.Cert}
}

// Issue makes a key and its certificate.
func (a *Authority) Issue(tb testing.TB, id string, mods ...func(*x509.Certificate)) *tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	c, err := identity.TLSCertificate(a.Sign(tb, id, key.Public(), mods...), key)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Source is an identity of this authority that trusts it.
func (a *Authority) Source(tb testing.TB, id string, mods ...func(*x509.Certificate)) identity.Static {
	tb.Helper()
	return identity.Static{Cert: a.Issue(tb, id, mods...), Pool: a.Pool()}
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func sign(tb testing.TB, t, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, by)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
