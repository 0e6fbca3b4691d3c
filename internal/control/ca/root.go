package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/identity"
)

// Files of the authority's folder. Others may keep files there too.
const (
	rootCertFile   = "mesh-root-cert.pem"
	rootKeyFile    = "mesh-root-key.pem"
	extraRootsFile = "mesh-extra-roots.pem"
)

const rootLife = 10 * 365 * 24 * time.Hour

// maxFile bounds what is read of a folder that somebody may have damaged.
const maxFile = 1 << 20

// signer is what certificates are signed with.
type signer struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain []*x509.Certificate // what follows a leaf: cert, between, root
	root  []*x509.Certificate
}

// openRoot reads or makes our own root. The key is written first: a key without a
// certificate has signed nothing, so it is replaced.
func openRoot(dir string, td spiffeid.TrustDomain, now time.Time, log *slog.Logger) (signer, error) {
	certPath, keyPath := filepath.Join(dir, rootCertFile), filepath.Join(dir, rootKeyFile)
	text, err := atomicfile.ReadLimited(certPath, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		log.Info("making the mesh's root certificate", "file", certPath)
		return makeRoot(dir, td, now)
	case err != nil:
		return signer{}, err
	}
	certs, err := identity.ParseCertificates(text)
	if err != nil {
		return signer{}, fmt.Errorf("%s: %w", certPath, err)
	}
	if len(certs) != 1 {
		return signer{}, fmt.Errorf("%s: %d certificates, not one", certPath, len(certs))
	}
	key, err := readKey(keyPath)
	if err != nil {
		return signer{}, err
	}
	s := signer{cert: certs[0], key: key, chain: certs, root: certs}
	if err := s.check(now); err != nil {
		return signer{}, fmt.Errorf("%s: %w", certPath, err)
	}
	return s, nil
}

func makeRoot(dir string, td spiffeid.TrustDomain, now time.Time) (signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return signer{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signer{}, err
	}
	serial, err := serialNumber()
	if err != nil {
		return signer{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		// The serial in the name keeps two roots apart while one replaces the other.
		Subject:               pkix.Name{Organization: []string{td.Name()}, CommonName: "usher root " + serial.Text(16)[:8]},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(rootLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return signer{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return signer{}, err
	}
	text, err := identity.EncodeKey(key)
	if err != nil {
		return signer{}, err
	}
	if err := atomicfile.Write(filepath.Join(dir, rootKeyFile), text, 0o600); err != nil {
		return signer{}, err
	}
	if err := atomicfile.Write(filepath.Join(dir, rootCertFile), identity.EncodeCertificates(cert), 0o600); err != nil {
		return signer{}, err
	}
	certs := []*x509.Certificate{cert}
	return signer{cert: cert, key: key, chain: certs, root: certs}, nil
}

// readKey refuses a key that others can read: it may be known already.
func readKey(path string) (crypto.Signer, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if m := fi.Mode().Perm(); m&0o077 != 0 {
		return nil, fmt.Errorf("%s: others can use this private key (mode %04o, not 0600)", path, m)
	}
	text, err := atomicfile.ReadLimited(path, maxFile)
	if err != nil {
		return nil, err
	}
	k, err := identity.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// check refuses what cannot sign certificates that peers will accept.
func (s *signer) check(now time.Time) error {
	if !s.cert.IsCA || s.cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("not a certificate of an authority")
	}
	if err := identity.CheckKey(s.cert.PublicKey); err != nil {
		return err
	}
	if k, ok := s.key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(s.cert.PublicKey) {
		return errors.New("the private key is not this certificate's")
	}
	if now.After(s.cert.NotAfter) {
		return fmt.Errorf("expired at %s", s.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// trusted gives the signing root and those that are trusted beside it, each once.
func trusted(dir string, root []*x509.Certificate, extra []byte) ([]*x509.Certificate, error) {
	all := root
	more := func(name string, text []byte) error {
		if len(text) == 0 {
			return nil
		}
		certs, err := identity.ParseCertificates(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range certs {
			if !c.IsCA {
				return fmt.Errorf("%s: %q is not a certificate of an authority", name, c.Subject)
			}
		}
		all = append(all[:len(all):len(all)], certs...)
		return nil
	}
	if err := more("extra roots", extra); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, extraRootsFile)
	text, err := atomicfile.ReadLimited(path, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := more(path, text); err != nil {
		return nil, err
	}
	var once []*x509.Certificate
	seen := map[string]bool{}
	for _, c := range all {
		if !seen[string(c.Raw)] {
			seen[string(c.Raw)] = true
			once = append(once, c)
		}
	}
	return once, nil
}
