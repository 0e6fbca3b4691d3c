// Package pki keeps the certificates of the API: an authority for its server
// certificate, another for its clients, a certificate for each, and the key that
// signs service account tokens. It owns files, each 0600. It must not know who may
// do what at the API.
package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Pair is a certificate and its key, PEM.
type Pair struct{ Cert, Key []byte }

// Files are what a folder of this package holds.
type Files struct {
	ServerCA     []byte // PEM: what clients trust
	ClientCA     []byte // PEM: what the server trusts
	Server       Pair
	Admin        Pair // group system:masters
	ControlPlane Pair // group ControlPlaneGroup
	Tokens       *ecdsa.PrivateKey
}

// ControlPlaneGroup is the Organization of the control plane's certificate.
const ControlPlaneGroup = "system:usher:control-plane"

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// renewBefore is generous because certificates are renewed at a start only.
	renewBefore = 120 * 24 * time.Hour
	// backdate allows for clocks that differ.
	backdate = 5 * time.Minute
)

// Load reads the folder, making what is missing and renewing what is near its end.
// A file that cannot be read as what it should be is an error that names it: keys
// that others trust are not replaced silently.
func Load(dir string, now time.Time) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	s := store{dir: dir, now: now}
	serverCA := s.authority("apiserver-ca", "usher API server authority")
	clientCA := s.authority("apiserver-client-ca", "usher API client authority")
	f := &Files{
		Server: s.leaf("apiserver", serverCA, &x509.Certificate{
			Subject:     pkix.Name{CommonName: "usher-apiserver"},
			DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}),
		Admin:        s.client("admin", clientCA, "usher-admin", "system:masters"),
		ControlPlane: s.client("control-plane", clientCA, "usher-control-plane", ControlPlaneGroup),
		Tokens:       s.key("service-account"),
	}
	if s.err != nil {
		return nil, fmt.Errorf("pki: %w", s.err)
	}
	f.ServerCA, f.ClientCA = serverCA.pem, clientCA.pem
	return f, nil
}

func (s *store) client(name string, ca *authority, commonName, group string) Pair {
	return s.leaf(name, ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName, Organization: []string{group}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }
