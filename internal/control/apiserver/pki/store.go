package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"
)

// store reads and writes the files of one folder; the first error sticks.
type store struct {
	dir string
	now time.Time
	err error
}

type authority struct {
	pem  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// key is the P-256 key of name.key, made if it is not there.
func (s *store) key(name string) *ecdsa.PrivateKey {
	if s.err != nil {
		return nil
	}
	path := s.path(name + ".key")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s.newKey(path)
	}
	if err != nil {
		s.err = err
		return nil
	}
	block, _ := pem.Decode(b)
	if block == nil {
		s.err = fmt.Errorf("%s: not a PEM file", path)
		return nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		s.err = fmt.Errorf("%s: not a P-256 key in PKCS #8", path)
		return nil
	}
	if s.err = os.Chmod(path, 0o600); s.err != nil {
		return nil
	}
	return key
}

func (s *store) newKey(path string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.err = err
		return nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.err = err
		return nil
	}
	if s.err = replace(path, "PRIVATE KEY", der); s.err != nil {
		return nil
	}
	return key
}

// authority is the self-signed certificate of name.crt. One near its end is made
// anew with the same key, so that what it signed stays good.
func (s *store) authority(name, commonName string) *authority {
	key := s.key(name)
	if s.err != nil {
		return nil
	}
	b, cert := s.read(name)
	if s.err != nil {
		return nil
	}
	if cert == nil || cert.NotAfter.Sub(s.now) < leafLife+renewBefore || !key.PublicKey.Equal(cert.PublicKey) {
		template := &x509.Certificate{
			Subject:               pkix.Name{CommonName: commonName},
			KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
			IsCA:                  true,
			BasicConstraintsValid: true,
		}
		b, cert = s.sign(name, template, authorityLife, &key.PublicKey, &authority{cert: template, key: key})
	}
	return &authority{pem: b, cert: cert, key: key}
}

// leaf is the certificate of name.crt and its key.
func (s *store) leaf(name string, ca *authority, template *x509.Certificate) Pair {
	key := s.key(name)
	if s.err != nil {
		return Pair{}
	}
	b, cert := s.read(name)
	if s.err != nil {
		return Pair{}
	}
	if cert == nil || cert.NotAfter.Sub(s.now) < renewBefore || !key.PublicKey.Equal(cert.PublicKey) || cert.CheckSignatureFrom(ca.cert) != nil {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		b, _ = s.sign(name, template, leafLife, &key.PublicKey, ca)
	}
	k, err := os.ReadFile(s.path(name + ".key"))
	if s.err == nil {
		s.err = err
	}
	return Pair{Cert: b, Key: k}
}

// read is the certificate of name.crt as PEM and parsed, nil if there is none.
func (s *store) read(name string) ([]byte, *x509.Certificate) {
	path := s.path(name + ".crt")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		s.err = err
		return nil, nil
	}
	block, _ := pem.Decode(b)
	if block == nil {
		s.err = fmt.Errorf("%s: not a PEM file", path)
		return nil, nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.err = fmt.Errorf("%s: %w", path, err)
		return nil, nil
	}
	if s.err = os.Chmod(path, 0o600); s.err != nil {
		return nil, nil
	}
	return b, cert
}

func (s *store) sign(name string, template *x509.Certificate, life time.Duration, pub *ecdsa.PublicKey, ca *authority) ([]byte, *x509.Certificate) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		s.err = err
		return nil, nil
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = s.now.Add(-backdate), s.now.Add(life)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, pub, ca.key)
	if err != nil {
		s.err = err
		return nil, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.err = err
		return nil, nil
	}
	s.err = replace(s.path(name+".crt"), "CERTIFICATE", der)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert
}

// replace writes a PEM file by rename, so that a kill leaves the old or the new one.
func replace(path, kind string, der []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
