package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"
)

// RotatingOptions say where an identity comes from and where it is kept.
type RotatingOptions struct {
	CAAddr    string   // host:port of the certificate authority
	CAIDs     []string // who it may be; default: the control plane of Trust
	TokenFile string   // join token, read anew at each try; never logged
	RootFile  string   // root certificates that everybody is judged by, PEM; read anew when it changes
	CacheDir  string   // last good certificate and key, 0600; "": none is kept
	Trust     string   // trust domain; default cluster.local
	// ID is the SPIFFE ID that must be had ("": any of the trust domain). A
	// cached certificate of another identity is not used.
	ID  string
	TTL time.Duration // asked for; default 24 h

	Log  *slog.Logger
	Now  func() time.Time // default time.Now
	Rand func() float64   // in [0,1); default math/rand
}

// Rotating is a Source that gets its certificate from a certificate authority and
// renews it at a random point around half of its life, for as long as Run runs.
type Rotating struct{}

var _ Source = (*Rotating)(nil)

// NewRotating reads the roots, and the cached certificate if it is still good, so
// that a restarted workload can serve before, or without, its authority.
func NewRotating(o RotatingOptions) (*Rotating, error) { panic("unfinished") }

// Run gets and renews the certificate until ctx ends. It returns nil then.
func (r *Rotating) Run(ctx context.Context) error { panic("unfinished") }

// Ready is closed when there is a certificate.
func (r *Rotating) Ready() <-chan struct{} { panic("unfinished") }

// Certificate gives the current certificate; ErrNoCertificate before the first.
func (r *Rotating) Certificate() (*tls.Certificate, error) { panic("unfinished") }

// Roots gives what RootFile held when it was last read.
func (r *Rotating) Roots() (*x509.CertPool, error) { panic("unfinished") }

// RootsPEM is the same as text.
func (r *Rotating) RootsPEM() []byte { panic("unfinished") }

// OnChange has f called, by Run, after the certificate or the roots changed. It
// is to be called before Run.
func (r *Rotating) OnChange(f func()) { panic("unfinished") }
