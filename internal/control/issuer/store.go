package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-jose/go-jose/v4"

	"github.com/usher-mesh/usher/internal/atomicfile"
)

// maxFile bounds a key file: ten keys of the biggest kind are about 20 KB.
const maxFile = 256 << 10

// asymmetric are the algorithms that the issuer keeps keys for (RFC 7518, 3.1;
// RFC 8037, 3.1); each has a key of its own, since a key's alg binds it to one.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// keyFile is one issuer name's file, 0600.
type keyFile struct {
	Name string            `json:"name"`
	Keys []jose.JSONWebKey `json:"keys"` // private; one an algorithm
	// Expiry tells, by kid, when the last token of a key expires, in seconds since
	// 1970, rounded up.
	Expiry  map[string]int64 `json:"expiry,omitempty"`
	Retired []retired        `json:"retired,omitempty"`
}

func (f *keyFile) find(alg jose.SignatureAlgorithm) *jose.JSONWebKey {
	for i := range f.Keys {
		if f.Keys[i].Algorithm == string(alg) {
			return &f.Keys[i]
		}
	}
	return nil
}

func (i *Issuer) file(name string) string {
	return filepath.Join(i.dir, base64.RawURLEncoding.EncodeToString([]byte(name))+".json")
}

// read gives the keys of a name, none if there is no file.
func (i *Issuer) read(name string) (*keyFile, error) {
	path := i.file(name)
	b, err := atomicfile.ReadLimited(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &keyFile{Name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	var f keyFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: not a file of issuer keys", path) // the cause could quote a key
	}
	if f.Name != name {
		return nil, fmt.Errorf("%s: of issuer %q", path, f.Name)
	}
	for _, k := range f.Keys {
		if !k.Valid() || k.IsPublic() || k.KeyID == "" || k.Algorithm == "" {
			return nil, fmt.Errorf("%s: a key is damaged", path)
		}
	}
	for _, r := range f.Retired {
		if !r.Key.Valid() || !r.Key.IsPublic() || r.Key.KeyID == "" {
			return nil, fmt.Errorf("%s: an old key is damaged", path)
		}
	}
	return &f, nil
}

// use gives the keys of a name with one of the algorithm among them, after taking
// note that a token of it expires then. Of new names it makes so many that there are
// at most names.
func (i *Issuer) use(name string, alg jose.SignatureAlgorithm, expires int64, names int) (*keyFile, error) {
	f, err := i.read(name)
	if err != nil || f.noted(alg, expires) {
		return f, err
	}
	err = i.change(name, func(now *keyFile) error {
		f = now // somebody else may have made it meanwhile
		if len(f.Keys) == 0 {
			if err := i.room(names); err != nil {
				return err
			}
		}
		k := f.find(alg)
		if k == nil {
			if k, err = generate(alg); err != nil {
				return err
			}
			f.Keys = append(f.Keys, *k)
			i.log.Info("issuer key made", "issuer", name, "alg", alg, "kid", k.KeyID)
		}
		f.note(k.KeyID, expires)
		return nil
	})
	return f, err
}

// noted tells whether there is nothing to write for such a token.
func (f *keyFile) noted(alg jose.SignatureAlgorithm, expires int64) bool {
	k := f.find(alg)
	return k != nil && (expires == 0 || f.Expiry[k.KeyID] >= expires)
}

// note keeps the latest expiry of a key's tokens. It is rounded up to minutes, so
// that not every token is a write.
func (f *keyFile) note(kid string, expires int64) {
	const minute = 60
	if f.Expiry == nil {
		f.Expiry = map[string]int64{}
	}
	f.Expiry[kid] = max(f.Expiry[kid], (expires+minute-1)/minute*minute)
}

// change rewrites a name's file, alone among all processes.
func (i *Issuer) change(name string, edit func(*keyFile) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	unlock, err := i.lock()
	if err != nil {
		return err
	}
	defer unlock()
	f, err := i.read(name)
	if err != nil {
		return err
	}
	if err := edit(f); err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return errors.New("issuer keys cannot be written") // the cause could quote a key
	}
	if len(b) > maxFile {
		return fmt.Errorf("%s: more than %d bytes of keys", i.file(name), maxFile)
	}
	return atomicfile.Write(i.file(name), b, 0o600)
}

func (i *Issuer) room(names int) error {
	files, err := os.ReadDir(i.dir)
	if err != nil {
		return err
	}
	n := 0
	for _, e := range files {
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
			n++
		}
	}
	if n >= names {
		return fmt.Errorf("%w: there are %d", errFull, n)
	}
	return nil
}

// lock is held by the process that changes the folder.
func (i *Issuer) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(i.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}

// generate makes a key whose kid is its thumbprint (RFC 7638).
func generate(alg jose.SignatureAlgorithm) (*jose.JSONWebKey, error) {
	var key crypto.Signer
	var err error
	switch alg {
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("the issuer keeps no keys for %q", alg)
	}
	if err != nil {
		return nil, err
	}
	k := &jose.JSONWebKey{Key: key, Algorithm: string(alg), Use: "sig"}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	k.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return k, nil
}
