package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// DefaultTrustDomain is Istio's.
const DefaultTrustDomain = "cluster.local"

// Workload gives the identity of a service account, as Istio writes it:
// spiffe://<trust domain>/ns/<namespace>/sa/<service account>.
func Workload(trustDomain, namespace, serviceAccount string) (spiffeid.ID, error) {
	td, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("trust domain %q: %w", trustDomain, err)
	}
	id, err := spiffeid.FromSegments(td, "ns", namespace, "sa", serviceAccount)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("service account %q of namespace %q: %w", serviceAccount, namespace, err)
	}
	return id, nil
}

// ControlPlane is the identity of the mesh's control plane:
// spiffe://<trust domain>/ns/istio-system/sa/istiod.
func ControlPlane(trustDomain string) (spiffeid.ID, error) {
	return Workload(trustDomain, "istio-system", "istiod")
}

// Account splits a workload's identity into namespace and service account; ok is
// false if the ID does not have that form.
func Account(id spiffeid.ID) (namespace, serviceAccount string, ok bool) {
	s := strings.Split(id.Path(), "/")
	if len(s) != 5 || s[0] != "" || s[1] != "ns" || s[3] != "sa" {
		return "", "", false
	}
	return s[2], s[4], true
}

// FromCertificate gives the identity that a certificate names. It does not verify
// the certificate. A certificate without exactly one URI SAN names none
// (X509-SVID, section 2).
func FromCertificate(c *x509.Certificate) (spiffeid.ID, error) {
	switch len(c.URIs) {
	case 1:
	case 0:
		return spiffeid.ID{}, errors.New("certificate has no URI SAN")
	default:
		return spiffeid.ID{}, fmt.Errorf("certificate has %d URI SANs, not one", len(c.URIs))
	}
	id, err := spiffeid.FromURI(c.URIs[0])
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("certificate's URI SAN is not a SPIFFE ID: %w", err)
	}
	return id, nil
}
