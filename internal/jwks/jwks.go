// Package jwks gets key sets over HTTP and keeps them: discovery, refresh, refetch
// when a key is unknown, last good sets on disk. The mirror of the control plane
// uses it towards issuers, and usher-proxy towards the mirror. Where connections
// go is the injected HTTP transport's matter; what a key is, package jose's.
package jwks

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Bounds that hold for every key set.
const (
	MaxBody    = 1 << 20 // bytes of a set or a discovery document
	MaxKeys    = 256     // keys of a set
	MaxWaiters = 1000    // requests that wait for one fetch of a set
	MaxWait    = time.Second
	MaxAge     = 24 * time.Hour // of keys without a successful fetch
)

// AgeHeader tells, in whole seconds, how long ago a mirrored set was last fetched
// from its issuer.
const AgeHeader = "Usher-Jwks-Age"

// Why Get has no keys.
var (
	ErrUnknown = errors.New("no object names this key set")
	ErrNoKeys  = errors.New("no keys to be had")
	ErrBusy    = errors.New("too many requests wait for the key set")
)

// Target is one key set to keep.
type Target struct {
	// URI names it in Get: the set's address, or with Discovery the issuer's.
	URI string
	// Discovery: the set's address is read from
	// <Issuer>/.well-known/openid-configuration, whose issuer must be Issuer.
	Discovery bool
	Issuer    string
}

// Set is one fetched key set. It is shared and never changed.
type Set struct {
	URI     string
	JSON    []byte    // the set less private and symmetric keys
	ETag    string    // of JSON, strong, with quotes
	Fetched time.Time // when its issuer last confirmed it
}

// State is what status and metrics show of a key set.
type State struct {
	URI       string
	Fetched   time.Time // last good fetch; zero: never
	Keys      int       // usable keys in force; 0 too when they are too old
	LastError string    // of the last try; "" if it was good
	Warnings  []string  // keys that were skipped
	FromDisk  bool      // not fetched since the start
}

// Options say how key sets are got and kept.
type Options struct {
	Transport http.RoundTripper
	Dir       string // last good sets, 0600; "": none are kept
	// Mirror: the other side is a mirror: it is told the unknown kid (?kid=) and
	// its AgeHeader counts.
	Mirror   bool
	OnChange func(uri string) // after a set or its state changed; may be nil
	Log      *slog.Logger
	Now      func() time.Time // default time.Now
	Rand     func() float64   // in [0,1); default math/rand
}

// Cache keeps the key sets of its targets fresh.
type Cache struct{}

// New makes an empty cache. Fetches go on in the background until Close.
func New(o Options) *Cache { panic("unfinished") }

// Set replaces the targets. A new one is read from disk and fetched at once; one
// that is gone is forgotten.
func (c *Cache) Set(targets []Target) { panic("unfinished") }

// Add adds one target, if it is not there.
func (c *Cache) Add(t Target) { panic("unfinished") }

// Get gives the current set. If it has no key that could match kid ("": any will
// do), or there is none yet, it is fetched again, at most once per 5 s, and Get
// waits at most MaxWait; a set without that key is no error. Errors: ErrUnknown,
// ErrNoKeys (wraps why), ErrBusy, ctx's.
func (c *Cache) Get(ctx context.Context, uri, kid string) (*Set, error) { panic("unfinished") }

// States gives the state of every target, ordered by URI.
func (c *Cache) States() []State { panic("unfinished") }

// Close ends the fetches and waits for them.
func (c *Cache) Close() { panic("unfinished") }
