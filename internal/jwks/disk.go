package jwks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/usher-mesh/usher/internal/atomicfile"
)

// rewrite is how much older than the truth a file may say that keys are: an
// answer that changed nothing is not worth a write each time.
const rewrite = 10 * time.Minute

// stored is a file of the folder. What it says is checked when it is read. It has
// no ETag: the first fetch after a start gets the whole set.
type stored struct {
	URI, Issuer string    // the target's
	Fetched     time.Time // when the issuer last confirmed the keys
	MaxAge      time.Duration
	JWKS        json.RawMessage
}

type disk struct {
	dir    string
	maxAge time.Duration // of keys; 0: what a mirror told
	now    func() time.Time
}

func (d disk) path(t Target) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q", t.URI, t.Issuer))
	return filepath.Join(d.dir, hex.EncodeToString(h[:16])+".json")
}

func (d disk) write(t Target, set *Set) error {
	if d.dir == "" {
		return nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(stored{URI: t.URI, Issuer: t.Issuer, Fetched: set.Fetched, MaxAge: set.MaxAge, JWKS: set.JSON})
	if err != nil {
		return err
	}
	return atomicfile.Write(d.path(t), b, 0o600)
}

// read gives nil if there is no file.
func (d disk) read(t Target) (*Set, error) {
	if d.dir == "" {
		return nil, nil
	}
	path := d.path(t)
	b, err := atomicfile.ReadLimited(path, 2*MaxBody)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: not a stored key set", path)
	}
	if s.URI != t.URI || s.Issuer != t.Issuer {
		return nil, fmt.Errorf("%s: of another key set", path)
	}
	maxAge := maxAgeWithin(cmp.Or(d.maxAge, s.MaxAge))
	switch age := d.now().Sub(s.Fetched); {
	case age > maxAge:
		return nil, fmt.Errorf("%s: keys are %s old, more than %s", path, age.Round(time.Second), maxAge)
	case age < -time.Minute:
		return nil, fmt.Errorf("%s: fetched in the future", path)
	}
	set, err := parse(t.URI, s.JWKS, s.Fetched)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	set.MaxAge = maxAge
	return set, nil
}

// remove forgets a set.
func (d disk) remove(t Target) error {
	if d.dir == "" {
		return nil
	}
	if err := os.Remove(d.path(t)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// prune removes files that are too old to be used.
func (d disk) prune() {
	if d.dir == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "*.json"))
	if err != nil {
		return
	}
	for _, f := range files {
		if fi, err := os.Lstat(f); err == nil && d.now().Sub(fi.ModTime()) > cmp.Or(d.maxAge, MostMaxAge) {
			_ = os.Remove(f) // tried again at the next start
		}
	}
}
