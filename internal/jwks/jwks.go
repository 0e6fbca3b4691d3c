// Package jwks gets key sets over HTTP and keeps them: discovery, refresh, refetch
// when a key is unknown, last good sets on disk. The mirror of the control plane
// uses it towards issuers, and usher-proxy towards the mirror. Where connections
// go is the injected HTTP transport's matter; what a key is, package jose's.
package jwks

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

// Bounds that hold for every key set.
const (
	MaxBody    = 1 << 20 // bytes of a set or a discovery document
	MaxKeys    = 256     // keys of a set
	MaxKID     = 1024    // bytes of a kid that is asked for; a longer one is nobody's
	MaxWaiters = 1000    // requests that wait for one fetch of a set
	MaxWait    = time.Second
	MaxAge     = 24 * time.Hour // of keys without a successful fetch, if nothing else is said
)

// What may be said in place of MaxAge.
const (
	LeastMaxAge = time.Minute
	MostMaxAge  = 30 * 24 * time.Hour
)

// What a mirror tells of a set, in whole seconds: how long ago it was last fetched from
// its issuer, and how old its keys may become.
const (
	AgeHeader    = "Usher-Jwks-Age"
	MaxAgeHeader = "Usher-Jwks-Max-Age"
)

// Why Get has no keys.
var (
	ErrUnknown = errors.New("no object names this key set")
	ErrNoKeys  = errors.New("no keys to be had")
	ErrBusy    = errors.New("too many requests wait for the key set")
)

// Target is one key set to keep.
type Target struct {
	// URI names the set in Get, and is where it is fetched from, less its
	// fragment.
	URI string
	// Issuer, unless "": the URI is that of the issuer's discovery document, which
	// names where the keys are and must give exactly this issuer as its own.
	Issuer string
	// Timeout bounds one fetch; 0: 10 s. Refresh is the time between fetches, at
	// most; 0: what Cache-Control says, within bounds.
	Timeout, Refresh time.Duration
	// Retry is how a failed fetch is tried again while requests wait for it, and
	// Refetch the time from the last of these tries to the next fetch; 0: from 200 ms
	// to 30 s, doubling.
	Retry   Retry
	Refetch time.Duration
}

// Retry is the policy of tries after a failed fetch (Envoy's config.core.v3.RetryPolicy):
// Times of them at most, after a random time of up to Base, thrice that, and so on
// (2^n-1), never more than Max.
type Retry struct {
	Times     int
	Base, Max time.Duration
}

// Set is one fetched key set. It is shared and never changed.
type Set struct {
	URI     string
	Keys    *jose.KeySet
	JSON    []byte    // the set less private and symmetric keys
	ETag    string    // of JSON, strong, with quotes
	Fetched time.Time // when its issuer last confirmed it
	MaxAge  time.Duration

	warnings []string
}

// State is what status and metrics show of a key set. Its texts hold nothing
// secret and no line breaks.
type State struct {
	URI       string
	Fetched   time.Time // last good fetch; zero: never
	Keys      int       // usable keys in force; 0 too when they are too old
	KIDs      []string  // theirs, in order; "" for one without
	LastError string    // of the last try; "" if it was good
	Warnings  []string  // keys that were skipped
	FromDisk  bool      // not fetched since the start
	Fetches   uint64    // tries so far
	Failures  map[Reason]uint64
}

// Options say how key sets are got and kept.
type Options struct {
	Transport http.RoundTripper
	Dir       string // last good sets, 0600; "": none are kept
	// MaxAge is how long keys are used without a successful fetch; 0: MaxAge. Within
	// bounds; what a mirror tells counts more.
	MaxAge time.Duration
	// Mirror: the other side is a mirror: it is told the unknown kid (?kid=) and
	// its AgeHeader counts.
	Mirror   bool
	OnChange func(uri string)                         // after a set or its state changed, on a goroutine of the cache; may be nil
	OnFetch  func(took time.Duration, failure Reason) // after each try, "" if it was good; may be nil
	OnKeys   func()                                   // after the keys of a set changed; may be nil
	Log      *slog.Logger
	Now      func() time.Time // default time.Now
	Rand     func() float64   // in [0,1); default math/rand
}
