package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/usher-mesh/usher/internal/identity"
)

// Intermediate is what Istio's Secret cacerts holds, all PEM.
type Intermediate struct {
	Cert  []byte // ca-cert.pem
	Key   []byte // ca-key.pem
	Chain []byte // cert-chain.pem, from Cert up to the root; may be empty
	Root  []byte // root-cert.pem
}

// load reads the four parts and checks that they belong together.
func (i *Intermediate) load(now time.Time) (signer, error) {
	cert, err := identity.ParseCertificates(i.Cert)
	if err != nil {
		return signer{}, fmt.Errorf("ca-cert.pem: %w", err)
	}
	key, err := identity.ParseKey(i.Key)
	if err != nil {
		return signer{}, fmt.Errorf("ca-key.pem: %w", err)
	}
	roots, err := identity.ParseCertificates(i.Root)
	if err != nil {
		return signer{}, fmt.Errorf("root-cert.pem: %w", err)
	}
	var between []*x509.Certificate
	if len(i.Chain) > 0 {
		if between, err = identity.ParseCertificates(i.Chain); err != nil {
			return signer{}, fmt.Errorf("cert-chain.pem: %w", err)
		}
	}
	s := signer{cert: cert[0], key: key, root: roots}
	if err := s.check(now); err != nil {
		return signer{}, fmt.Errorf("ca-cert.pem: %w", err)
	}
	pool, inters := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range roots {
		pool.AddCert(c)
	}
	between = append(cert[1:], between...)
	for _, c := range between {
		inters.AddCert(c)
	}
	chains, err := s.cert.Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: inters, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return signer{}, fmt.Errorf("ca-cert.pem does not lead to root-cert.pem: %w", err)
	}
	if len(chains) == 0 {
		return signer{}, errors.New("ca-cert.pem does not lead to root-cert.pem")
	}
	s.chain = chains[0] // in order, without repetition, the root last
	return s, nil
}
