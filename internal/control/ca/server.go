package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	mrand "math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/usher-mesh/usher/internal/identity"
)

// ServerSource is the control plane's own identity, with DNS names and addresses
// beside its URI; it renews itself when asked around half of its life. No
// workload is given an identity that is used here.
func (a *Authority) ServerSource(id spiffeid.ID, dns []string, ips []net.IP) (identity.Source, error) {
	a.mu.Lock()
	a.reserved[id] = true
	a.mu.Unlock()
	s := &serverSource{a: a, id: id, dns: dns, ips: ips}
	if _, err := s.Certificate(); err != nil {
		return nil, err
	}
	return s, nil
}

type serverSource struct {
	a   *Authority
	id  spiffeid.ID
	dns []string
	ips []net.IP

	mu    sync.Mutex
	cert  *tls.Certificate
	renew time.Time
}

func (s *serverSource) Roots() (*x509.CertPool, error) { return s.a.Roots() }

// Certificate issues when there is none or the time has come. A failure to renew
// matters only when the old one has expired.
func (s *serverSource) Certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.a.now()
	if s.cert != nil && now.Before(s.renew) {
		return s.cert, nil
	}
	c, err := s.issue()
	if err != nil {
		if s.cert != nil && now.Before(s.cert.Leaf.NotAfter) {
			s.renew = now.Add(time.Minute)
			return s.cert, nil
		}
		return nil, err
	}
	life := c.Leaf.NotAfter.Sub(now)
	s.cert, s.renew = c, now.Add(time.Duration(float64(life)*(0.4+0.2*mrand.Float64())))
	return c, nil
}

func (s *serverSource) issue() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	chain, err := s.a.issue(s.id, key.Public(), MaxTTL, s.dns, s.ips)
	if err != nil {
		return nil, err
	}
	return identity.TLSCertificate(chain, key)
}
