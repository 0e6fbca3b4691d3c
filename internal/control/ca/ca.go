// Package ca is the mesh's certificate authority: its root and key on disk, what
// it issues, and Istio's CSR service in front of it. Who asks is proved by a token
// that a TokenReviewer judges; names in a request are ignored. It knows neither
// the API server nor xDS.
package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"net"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/usher-mesh/usher/internal/identity"
)

// Audience is that of join tokens, as in Istio.
const Audience = "istio-ca"

// MaxTTL is the longest life of a workload's certificate, and the default.
const MaxTTL = 24 * time.Hour

// Options say what the authority signs with.
type Options struct {
	TrustDomain string // default cluster.local
	// Intermediate is the user's own authority, instead of a root of ours.
	Intermediate *Intermediate
	// ExtraRoots are trusted too (PEM): the old or the next root while it rotates.
	ExtraRoots []byte
	Now        func() time.Time // default time.Now
	Log        *slog.Logger
}

// Intermediate is what Istio's Secret cacerts holds, all PEM.
type Intermediate struct {
	Cert  []byte // ca-cert.pem
	Key   []byte // ca-key.pem
	Chain []byte // cert-chain.pem, from Cert up to the root; may be empty
	Root  []byte // root-cert.pem
}

// Authority issues certificates of one trust domain.
type Authority struct{}

// Open reads the authority of the folder, or makes one: a P-256 root of ten years
// whose key is 0600.
func Open(dir string, o Options) (*Authority, error) { panic("unfinished") }

// RootPEM gives the trusted roots, for RootFile of workloads and the ConfigMap
// istio-ca-root-cert.
func (a *Authority) RootPEM() []byte { panic("unfinished") }

// Roots gives the same as a pool.
func (a *Authority) Roots() (*x509.CertPool, error) { panic("unfinished") }

// TrustDomain is the domain whose identities the authority issues.
func (a *Authority) TrustDomain() spiffeid.TrustDomain { panic("unfinished") }

// Issue makes a certificate for a workload's key: URI SAN id alone, for client
// and server authentication, at most MaxTTL long (0: MaxTTL). It gives the chain,
// leaf first, root last.
func (a *Authority) Issue(id spiffeid.ID, pub crypto.PublicKey, ttl time.Duration) ([]*x509.Certificate, error) {
	panic("unfinished")
}

// ServerSource is the control plane's own identity, with DNS names and addresses
// beside its URI; it renews itself when asked around half of its life. No
// workload is given an identity that is used here.
func (a *Authority) ServerSource(id spiffeid.ID, dns []string, ips []net.IP) (identity.Source, error) {
	panic("unfinished")
}

// TokenReviewer tells whose token it is. An error that wraps ErrDenied means that
// it is nobody's; any other that it could not be found out.
type TokenReviewer interface {
	Review(ctx context.Context, token, audience string) (namespace, serviceAccount string, err error)
}

// Service is istio.v1.auth.IstioCertificateService.
type Service struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
}

var _ securityv1alpha1.IstioCertificateServiceServer = (*Service)(nil)

// NewService makes the CSR service of an authority.
func NewService(a *Authority, r TokenReviewer, log *slog.Logger) *Service { panic("unfinished") }

// GRPCOptions bound what a client of the service can cost. The listener's
// credentials are the caller's matter (identity.ServerTLSOptionalClient).
func GRPCOptions() []grpc.ServerOption { panic("unfinished") }
