// Package issuer is the development issuer of tokens: one key set per issuer name,
// kept in a folder, published over HTTP and minted from by the command line. The
// folder may be used by several processes at once. It knows nothing of the mesh.
package issuer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// BaseURL is where the mesh finds the issuer.
const BaseURL = "http://issuer.istio-system.svc.cluster.local"

// SampleIssuer is the name whose set also holds Istio's public sample key. Its
// private half is published, so anybody can make tokens of that issuer.
const SampleIssuer = "testing@secure.istio.io"

// SampleKID is that key's.
const SampleKID = "DHFbpoIUqrY8t2zpA2qXfCmr5VO5ZEr4RzHU_-envvQ"

// How many names there may be: strangers make them by asking for key sets, the
// owner of the folder by minting.
const (
	maxNamesByGet  = 100
	maxNamesByMint = 1000
	maxName        = 128 // bytes
)

var (
	errName = errors.New("not an issuer name")
	errFull = errors.New("too many issuer names")
	// ErrRequest is what an error is (errors.Is) whose cause is in the request.
	ErrRequest = errors.New("the request makes no sense")
)

// refusal is an ErrRequest.
type refusal struct{ error }

func (refusal) Is(target error) bool { return target == ErrRequest }

func (r refusal) Unwrap() error { return r.error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// Issuer keeps the key sets of a folder. It holds no state of its own but the
// folder's name: every call reads what is there, so that several processes agree.
type Issuer struct {
	dir string
	log *slog.Logger
	mu  sync.Mutex // one writer in this process; flock is for the others
	now func() time.Time
}

// Open uses the folder, making it (0700) if there is none.
func Open(dir string, log *slog.Logger) (*Issuer, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return &Issuer{dir: dir, log: log, now: time.Now}, nil
}

// Name is the name of the key set that an issuer's tokens are signed with: the
// issuer itself, or what follows BaseURL/i/, so that the issuer of a discovery
// document has the keys that it points to.
func Name(issuer string) (string, error) {
	name := issuer
	if rest, ok := strings.CutPrefix(issuer, BaseURL+"/i/"); ok {
		var err error
		if name, err = url.PathUnescape(rest); err != nil {
			return "", refuse("%w: %q", errName, issuer)
		}
	}
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return "", refuse("%w: it has %d bytes of UTF-8, not 1 to %d", errName, len(name), maxName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) || r == ' ' {
			return "", refuse("%w: %q has characters that do not print", errName, name)
		}
	}
	return name, nil
}

// KeysURL is where the mesh finds the key set of a name.
func KeysURL(name string) string { return BaseURL + path(name, "jwks") }

func path(name, file string) string { return "/i/" + url.PathEscape(name) + "/" + file }
