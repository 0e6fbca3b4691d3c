package identity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/usher-mesh/usher/internal/atomicfile"
)

// cacheFile holds key and chain together, so that one never stands without the
// other. 0600.
const cacheFile = "identity.pem"

const maxCache = 256 << 10

func (r *Rotating) writeCache(key crypto.Signer, chain []*x509.Certificate) error {
	if r.o.CacheDir == "" {
		return nil
	}
	if err := os.MkdirAll(r.o.CacheDir, 0o700); err != nil {
		return err
	}
	text, err := EncodeKey(key)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(r.o.CacheDir, cacheFile), append(text, EncodeCertificates(chain...)...), 0o600)
}

// readCache gives the cached certificate, judged as a new one is; nil if there is
// none.
func (r *Rotating) readCache() (*tls.Certificate, error) {
	if r.o.CacheDir == "" {
		return nil, nil
	}
	path := filepath.Join(r.o.CacheDir, cacheFile)
	text, err := atomicfile.ReadLimited(path, maxCache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, rest := pem.Decode(text)
	if b == nil {
		return nil, fmt.Errorf("%s: not PEM", path)
	}
	key, err := ParseKey(pem.EncodeToMemory(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	chain, err := ParseCertificates(rest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c, err := TLSCertificate(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := r.check(chain); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
