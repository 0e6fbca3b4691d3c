// Package proxytest is a control plane for tests of the proxy: a certificate
// authority that speaks Istio's CSR protocol and a delta ADS server, both over
// real TLS and gRPC, without anything of internal/control.
package proxytest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/usher-mesh/usher/internal/identity"
)

// ControlPlaneID is the identity of the servers.
const ControlPlaneID = "spiffe://cluster.local/ns/istio-system/sa/istiod"

// CA is a certificate authority with one root.
type CA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// ID is what the CSR service certifies, whoever asks.
	ID string
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
}

// NewCA makes an authority.
func NewCA(t testing.TB) *CA {
	key := newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{key: key, cert: c}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// RootPEM gives the root.
func (a *CA) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *CA) sign(id string, pub crypto.PublicKey) ([]byte, error) {
	u, err := url.Parse(id)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{u},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, pub, a.key)
}

// Source gives an identity that the authority certifies.
func (a *CA) Source(t testing.TB, id string) identity.Static {
	key := newKey(t)
	der, err := a.sign(id, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return identity.Static{Cert: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, Pool: pool}
}

// CreateCertificate is Istio's CSR protocol.
func (a *CA) CreateCertificate(_ context.Context, r *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	b, _ := pem.Decode([]byte(r.GetCsr()))
	csr, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		return nil, err
	}
	der, err := a.sign(a.ID, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &securityv1alpha1.IstioCertificateResponse{CertChain: []string{string(leaf), string(a.RootPEM())}}, nil
}

// Serve serves the CSR protocol until the test ends and gives the address.
func (a *CA) Serve(t testing.TB) string {
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLSOptionalClient(a.Source(t, ControlPlaneID)))))
	securityv1alpha1.RegisterIstioCertificateServiceServer(s, a)
	return serve(t, s, "127.0.0.1:0")
}

func serve(t testing.TB, s *grpc.Server, addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}
