package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Identity is the certificate that a workload's sidecar has, as somebody would see
// it who may read the workload's folder.
func (m *Mesh) Identity(namespace, name string) tls.Certificate {
	m.T.Helper()
	p := filepath.Join(m.Home, "workloads", namespace, name, "cache", "identity.pem")
	c, err := tls.LoadX509KeyPair(p, p)
	if err != nil {
		m.T.Fatal(err)
	}
	return c
}

// Roots are the mesh's.
func (m *Mesh) Roots() *x509.CertPool {
	m.T.Helper()
	data, err := os.ReadFile(filepath.Join(m.Home, "root-cert.pem"))
	if err != nil {
		m.T.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		m.T.Fatal("root-cert.pem: no certificate")
	}
	return pool
}

// CA is the mesh's own authority, with its key.
func (m *Mesh) CA() tls.Certificate {
	m.T.Helper()
	dir := filepath.Join(m.Home, "pki", "mesh")
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, "mesh-root-cert.pem"), filepath.Join(dir, "mesh-root-key.pem"))
	if err != nil {
		m.T.Fatal(err)
	}
	return c
}

// ForeignCA is an authority that the mesh does not know.
func ForeignCA(t testing.TB) tls.Certificate {
	t.Helper()
	key := newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Issue makes a workload's certificate with any authority, good until then.
func Issue(t testing.TB, ca tls.Certificate, spiffeID string, until time.Time) tls.Certificate {
	t.Helper()
	uri, err := url.Parse(spiffeID)
	if err != nil {
		t.Fatal(err)
	}
	return Sign(t, ca, &x509.Certificate{
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until, URIs: []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
}

// IssueServer makes a server's certificate for a host name with any authority.
func IssueServer(t testing.TB, ca tls.Certificate, host string) tls.Certificate {
	t.Helper()
	return Sign(t, ca, &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Sign makes a certificate of the template's names and times, with its authority behind it.
func Sign(t testing.TB, ca tls.Certificate, tmpl *x509.Certificate) tls.Certificate {
	t.Helper()
	parent, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	tmpl.SerialNumber, tmpl.KeyUsage = big.NewInt(time.Now().UnixNano()), x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.Certificate[0]}, PrivateKey: key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
