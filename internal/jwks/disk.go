package jwks

import (
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

// stored is a file of the folder. What it says is checked when it is read.
type stored struct {
	Target Target
	From   string
	ETag   string
	// Fetched is when the issuer last confirmed the keys.
	Fetched time.Time
	JWKS    json.RawMessage
}

type disk struct {
	dir string
	now func() time.Time
}

func (d disk) path(t Target) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %t %q", t.URI, t.Discovery, t.Issuer))
	return filepath.Join(d.dir, hex.EncodeToString(h[:16])+".json")
}

func (d disk) write(t Target, f *fetched) error {
	if d.dir == "" {
		return nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(stored{Target: t, From: f.from, ETag: f.etag, Fetched: f.set.Fetched, JWKS: f.set.JSON})
	if err != nil {
		return err
	}
	return atomicfile.Write(d.path(t), b, 0o600)
}

// read gives nil if there is no file.
func (d disk) read(t Target) (*fetched, error) {
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
	if s.Target != t {
		return nil, fmt.Errorf("%s: of another key set", path)
	}
	switch age := d.now().Sub(s.Fetched); {
	case age > MaxAge:
		return nil, fmt.Errorf("%s: keys are %s old, more than %s", path, age.Round(time.Second), MaxAge)
	case age < -time.Minute:
		return nil, fmt.Errorf("%s: fetched in the future", path)
	}
	set, err := parse(t.URI, s.JWKS, s.Fetched)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &fetched{set: set, from: s.From, etag: s.ETag}, nil
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
		if fi, err := os.Lstat(f); err == nil && d.now().Sub(fi.ModTime()) > MaxAge {
			_ = os.Remove(f) // tried again at the next start
		}
	}
}
