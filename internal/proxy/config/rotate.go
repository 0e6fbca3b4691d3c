package config

import (
	"crypto/sha256"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// rotating is a secret that came from a file and names files: its last version, in force or
// not, since other files may make it good.
type rotating struct {
	held
	m       *tlsv3.Secret // less what says what is to be watched
	watches []xds.Watch
}

// putRotating puts a secret that came from a file.
func (s *Store) putRotating(key string, r xds.Resource, m *tlsv3.Secret) error {
	m, watches := watched(m)
	if len(watches) > 0 {
		s.rotating[key] = &rotating{hold(r), m, watches}
	} else {
		delete(s.rotating, key)
	}
	e, err := readSecret(m, proxytls.Data)
	if err != nil {
		return err
	}
	e.held = hold(r)
	s.secrets[key] = e
	return nil
}

// watched takes out of a secret what says what is to be watched: a folder, or else those of
// its files, as in Envoy, so that a folder may be replaced by moving a link. A folder beside
// which there are no files stays, and is refused.
func watched(m *tlsv3.Secret) (*tlsv3.Secret, []xds.Watch) {
	m = proto.CloneOf(m)
	t, v := m.GetTlsCertificate(), m.GetValidationContext()
	var folder **corev3.WatchedDirectory
	switch {
	case t != nil:
		folder = &t.WatchedDirectory
	case v != nil:
		folder = &v.WatchedDirectory
	default:
		return m, nil
	}
	var files []xds.Watch
	for _, d := range []*corev3.DataSource{t.GetCertificateChain(), t.GetPrivateKey(), v.GetTrustedCa()} {
		if d.GetFilename() != "" {
			files = append(files, xds.Watch{Path: filepath.Dir(d.GetFilename()), Folder: true})
		}
	}
	if (*folder).GetPath() == "" || strict.Only(*folder, "path") != nil || len(files) == 0 {
		return m, files
	}
	files = []xds.Watch{{Path: (*folder).GetPath(), Folder: true}}
	*folder = nil
	return m, files
}

// maxReadings is how often the files of a secret are read until two readings agree, as in
// Envoy.
const maxReadings = 6

var errUnsteady = errors.New("its files change while they are read")

// readSecret compiles a secret that names files. These are read until two readings agree:
// what is replaced meanwhile is never had in part, even if its parts suit each other.
func readSecret(m *tlsv3.Secret, read reader) (*secretEntry, error) {
	var last [sha256.Size]byte
	for i := range maxReadings {
		h := sha256.New()
		e, err := compileSecret(m, func(d *corev3.DataSource) ([]byte, error) {
			b, err := read(d)
			one := sha256.Sum256(b)
			h.Write(one[:])
			return b, err
		})
		now := [sha256.Size]byte(h.Sum(nil))
		if i > 0 && now == last {
			if err == nil {
				e.sum = now
			}
			return e, err
		}
		last = now
	}
	return nil, errUnsteady
}

// watches gives what is to be watched for the secrets of a source.
func (s *Store) watches(source origin.Source, typeURL string) (out []xds.Watch) {
	if typeURL != xds.SecretType {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.rotating {
		if origin.Parse(key).Source == source {
			out = append(out, r.watches...)
		}
	}
	return out
}

// reread reads the files of a source's secrets again. A secret whose files are not good
// stays as it was; why is told by its name.
func (s *Store) reread(source origin.Source, typeURL string) map[string]string {
	if typeURL != xds.SecretType {
		return nil
	}
	s.mu.Lock()
	defer s.changed()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	refused := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(s.rotating)) {
		name := origin.Parse(key)
		if name.Source != source {
			continue
		}
		why := ""
		if err := s.rotate(key); err != nil {
			why = err.Error()
			refused[name.Name] = why
		}
		s.reject(typeURL, key, why)
	}
	s.settle()
	return refused
}

func (s *Store) rotate(key string) (err error) {
	defer s.contain(xds.SecretType, key, &err)
	r := s.rotating[key]
	e, err := readSecret(r.m, proxytls.Data)
	if err != nil {
		return err
	}
	if old := s.secrets[key]; old != nil && old.sum == e.sum && same(old.body, r.body) {
		return nil // connections need not be judged again
	}
	e.held = r.held
	s.secrets[key] = e
	return nil
}
