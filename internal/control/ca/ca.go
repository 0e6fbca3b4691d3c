// Package ca is the mesh's certificate authority: its root and key on disk, what
// it issues, and Istio's CSR service in front of it. Who asks is proved by a token
// that a TokenReviewer judges; names in a request are ignored. It knows neither
// the API server nor xDS.
package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/usher-mesh/usher/internal/identity"
)

// MaxTTL is the longest life of a workload's certificate, and the default.
const MaxTTL = 24 * time.Hour

// skew is how far the clocks of a mesh may differ: certificates begin that much
// before they are issued.
const skew = 2 * time.Minute

// Options say what the authority signs with.
type Options struct {
	TrustDomain string // default cluster.local
	// Intermediate is the user's own authority, instead of a root of ours.
	Intermediate *Intermediate
	// ExtraRoots are trusted too (PEM): the old or the next root while it rotates.
	// So are those of the file mesh-extra-roots.pem in the authority's folder.
	ExtraRoots []byte
	Now        func() time.Time // default time.Now
	Log        *slog.Logger
}

// Authority issues certificates of one trust domain.
type Authority struct {
	signer
	trust spiffeid.TrustDomain
	roots []*x509.Certificate
	pool  *x509.CertPool
	now   func() time.Time

	mu       sync.Mutex
	reserved map[spiffeid.ID]bool // identities of the control plane itself
}

// Open reads the authority of the folder, or makes one: a P-256 root of ten years
// whose key is 0600. With Options.Intermediate nothing is written.
func Open(dir string, o Options) (*Authority, error) {
	if o.TrustDomain == "" {
		o.TrustDomain = identity.DefaultTrustDomain
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	td, err := spiffeid.TrustDomainFromString(o.TrustDomain)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: trust domain %q: %w", o.TrustDomain, err)
	}
	a := &Authority{trust: td, now: o.Now, pool: x509.NewCertPool(), reserved: map[spiffeid.ID]bool{}}
	if o.Intermediate != nil {
		a.signer, err = o.Intermediate.load(o.Now())
	} else {
		a.signer, err = openRoot(dir, td, o.Now(), o.Log)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if a.roots, err = trusted(dir, a.root, o.ExtraRoots); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	for _, c := range a.roots {
		a.pool.AddCert(c)
	}
	if left := a.cert.NotAfter.Sub(o.Now()); left < 90*24*time.Hour {
		o.Log.Warn("the certificate authority's certificate expires soon", "at", a.cert.NotAfter)
	}
	return a, nil
}

// RootPEM gives the trusted roots, for RootFile of workloads and the ConfigMap
// istio-ca-root-cert.
func (a *Authority) RootPEM() []byte { return identity.EncodeCertificates(a.roots...) }

// Roots gives the same as a pool.
func (a *Authority) Roots() (*x509.CertPool, error) { return a.pool, nil }

// TrustDomain is the domain whose identities the authority issues.
func (a *Authority) TrustDomain() spiffeid.TrustDomain { return a.trust }

// Issue makes a certificate for a workload's key: URI SAN id alone, for client
// and server authentication, at most MaxTTL long (0: MaxTTL). It gives the chain,
// leaf first, root last.
func (a *Authority) Issue(id spiffeid.ID, pub crypto.PublicKey, ttl time.Duration) ([]*x509.Certificate, error) {
	if a.isReserved(id) {
		return nil, fmt.Errorf("%s is the control plane's own identity: %w", id, ErrDenied)
	}
	return a.issue(id, pub, ttl, nil, nil)
}

func (a *Authority) isReserved(id spiffeid.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reserved[id]
}

func (a *Authority) issue(id spiffeid.ID, pub crypto.PublicKey, ttl time.Duration, dns []string, ips []net.IP) ([]*x509.Certificate, error) {
	if !id.MemberOf(a.trust) {
		return nil, fmt.Errorf("%s is not of the trust domain %s: %w", id, a.trust, ErrDenied)
	}
	if err := identity.CheckKey(pub); err != nil {
		return nil, err
	}
	if ttl <= 0 || ttl > MaxTTL {
		ttl = MaxTTL
	}
	now := a.now()
	end := now.Add(ttl)
	if end.After(a.cert.NotAfter) {
		end = a.cert.NotAfter
	}
	if !end.After(now) {
		return nil, fmt.Errorf("the authority's certificate expired at %s", a.cert.NotAfter)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	// No subject: the identity is the URI, and with an empty subject the SAN is
	// critical (RFC 5280, 4.2.1.6).
	leaf := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    now.Add(-skew),
		NotAfter:     end,
		URIs:         []*url.URL{id.URL()},
		DNSNames:     dns,
		IPAddresses:  ips,
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
		},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return append([]*x509.Certificate{c}, a.chain...), nil
}

// serialNumber is 127 random bits: positive, and at most 20 bytes (RFC 5280,
// 4.1.2.2).
func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(1)), nil
}
