package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// What a Source, or a peer, may lack.
var (
	ErrNoCertificate = errors.New("no certificate")
	ErrNoRoots       = errors.New("no root certificates")
)

// Verify checks a chain (leaf first) against roots at the time now, for one use,
// and gives the identity that it proves. It is the one place where a peer of the
// mesh is judged.
func Verify(chain []*x509.Certificate, roots *x509.CertPool, use x509.ExtKeyUsage, now time.Time) (spiffeid.ID, error) {
	if len(chain) == 0 {
		return spiffeid.ID{}, ErrNoCertificate
	}
	// Without roots x509 would ask the system's.
	if roots == nil {
		return spiffeid.ID{}, ErrNoRoots
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	leaf := chain[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: between,
		KeyUsages:     []x509.ExtKeyUsage{use},
		CurrentTime:   now,
	})
	if err != nil {
		return spiffeid.ID{}, err
	}
	if leaf.IsCA {
		return spiffeid.ID{}, errors.New("certificate is an authority's, not a workload's")
	}
	return FromCertificate(leaf)
}

// peer is what both sides check of the other in tls.Config.VerifyConnection,
// which unlike VerifyPeerCertificate is called for resumed sessions too.
func peer(cs tls.ConnectionState, roots RootSource, use x509.ExtKeyUsage, now time.Time) (spiffeid.ID, error) {
	pool, err := roots.Roots()
	if err != nil {
		return spiffeid.ID{}, err
	}
	return Verify(cs.PeerCertificates, pool, use, now)
}

// sameTrustDomain refuses an identity of another trust domain than ours.
func sameTrustDomain(own CertificateSource, id spiffeid.ID) error {
	c, err := own.Certificate()
	if err != nil {
		return err
	}
	leaf := c.Leaf
	if leaf == nil {
		if len(c.Certificate) == 0 {
			return ErrNoCertificate
		}
		if leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return fmt.Errorf("own certificate: %w", err)
		}
	}
	mine, err := FromCertificate(leaf)
	if err != nil {
		return fmt.Errorf("own %w", err)
	}
	if !id.MemberOf(mine.TrustDomain()) {
		return fmt.Errorf("%s is not of the trust domain %s", id, mine.TrustDomain())
	}
	return nil
}
