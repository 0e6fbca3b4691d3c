package xds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/usher-mesh/usher/internal/identity"
)

// caller is what a client's certificate proves.
type caller struct {
	id             string // spiffe://TRUST/ns/NAMESPACE/sa/ACCOUNT
	namespace      string
	serviceAccount string
	notAfter       time.Time
}

// callerOf reads the identity of the certificate that the TLS handshake verified.
// Without one, or with one of another trust domain or form, it is an error.
func callerOf(ctx context.Context, trustDomain string) (caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return caller{}, errors.New("the connection is not TLS")
	}
	if !info.State.HandshakeComplete || len(info.State.PeerCertificates) == 0 {
		return caller{}, errors.New("the client shows no certificate")
	}
	return callerOfCertificate(info.State.PeerCertificates[0], trustDomain)
}

func callerOfCertificate(cert *x509.Certificate, trustDomain string) (caller, error) {
	id, err := identity.FromCertificate(cert)
	if err != nil {
		return caller{}, fmt.Errorf("the client's %w", err)
	}
	if id.TrustDomain().Name() != trustDomain {
		return caller{}, fmt.Errorf("the client's trust domain %q is not %q", id.TrustDomain().Name(), trustDomain)
	}
	ns, account, ok := identity.Account(id)
	if !ok {
		return caller{}, fmt.Errorf("the client's identity %s is not that of a service account", id)
	}
	return caller{id: id.String(), namespace: ns, serviceAccount: account, notAfter: cert.NotAfter}, nil
}

// mayRead says whether this caller may have the Secret of that SDS name: only a
// gateway, and only one of its own namespace. Names of another form are nobody's.
func (c caller) mayRead(name string, gateway bool) bool {
	rest, ok := strings.CutPrefix(name, "kubernetes://")
	if !ok {
		return false
	}
	ns, secret, ok := strings.Cut(rest, "/")
	return ok && gateway && secret != "" && ns == c.namespace
}
