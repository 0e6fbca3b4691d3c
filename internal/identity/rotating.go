package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/usher-mesh/usher/internal/atomicfile"
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

// How Run paces itself.
const (
	defaultTTL = 24 * time.Hour
	tryTimeout = 10 * time.Second
	minBackoff = 200 * time.Millisecond
	maxBackoff = 30 * time.Second
	// needBackoff is the longest pause while there is no good certificate.
	needBackoff = 2 * time.Second
	// look is how often the root file and the wall clock are looked at; timers
	// alone would not see that the machine was asleep.
	look     = 5 * time.Second
	maxToken = 64 << 10
	maxRoots = 1 << 20
)

// Rotating is a Source that gets its certificate from a certificate authority and
// renews it at a random point around half of its life, for as long as Run runs.
type Rotating struct {
	o      RotatingOptions
	id     spiffeid.ID // zero: any
	trust  spiffeid.TrustDomain
	client *CSRClient
	ready  chan struct{}

	mu       sync.RWMutex
	cert     *tls.Certificate
	rootText []byte
	roots    *x509.CertPool
	changed  []func()
}

var _ Source = (*Rotating)(nil)

// NewRotating reads the roots, and the cached certificate if it is still good, so
// that a restarted workload can serve before, or without, its authority.
func NewRotating(o RotatingOptions) (*Rotating, error) {
	if o.Trust == "" {
		o.Trust = DefaultTrustDomain
	}
	if o.TTL <= 0 {
		o.TTL = defaultTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = mrand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Rotating{o: o, ready: make(chan struct{})}
	var err error
	if r.trust, err = spiffeid.TrustDomainFromString(o.Trust); err != nil {
		return nil, fmt.Errorf("trust domain %q: %w", o.Trust, err)
	}
	if o.ID != "" {
		if r.id, err = spiffeid.FromString(o.ID); err != nil {
			return nil, fmt.Errorf("identity %q: %w", o.ID, err)
		}
	}
	if len(o.CAIDs) == 0 {
		cp, err := ControlPlane(o.Trust)
		if err != nil {
			return nil, err
		}
		r.o.CAIDs = []string{cp.String()}
	}
	if _, err := r.readRoots(); err != nil {
		return nil, fmt.Errorf("root certificates: %w", err)
	}
	r.client = &CSRClient{Addr: o.CAAddr, Roots: r, CAIDs: r.o.CAIDs, Token: r.token, Now: o.Now}
	c, err := r.readCache()
	switch {
	case err != nil:
		o.Log.Info("the cached certificate is not used", "error", err)
	case c != nil:
		r.setCertificate(c)
	}
	return r, nil
}

// Ready is closed when there is a certificate.
func (r *Rotating) Ready() <-chan struct{} { return r.ready }

// Certificate gives the current certificate. Before the first it is
// ErrNoCertificate; after the last has expired an error says so.
func (r *Rotating) Certificate() (*tls.Certificate, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cert == nil {
		return nil, ErrNoCertificate
	}
	if end := r.cert.Leaf.NotAfter; r.o.Now().After(end) {
		return nil, fmt.Errorf("%w: the last one expired at %s", ErrNoCertificate, end.UTC().Format(time.RFC3339))
	}
	return r.cert, nil
}

// Roots gives what RootFile held when it was last read.
func (r *Rotating) Roots() (*x509.CertPool, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.roots, nil
}

// RootsPEM is the same as text.
func (r *Rotating) RootsPEM() []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return bytes.Clone(r.rootText)
}

// OnChange has f called, by Run, after the certificate or the roots changed.
func (r *Rotating) OnChange(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, f)
}

// Run gets and renews the certificate until ctx ends. It returns nil then.
func (r *Rotating) Run(ctx context.Context) error {
	next, pause := r.renewAt(r.cachedAt()), time.Duration(0)
	for ctx.Err() == nil {
		changed := r.refreshRoots()
		if changed && !r.stands() {
			next = r.o.Now()
		}
		if !r.o.Now().Before(next) {
			if err := r.renew(ctx); err == nil {
				next, pause, changed = r.renewAt(r.o.Now()), 0, true
			} else if ctx.Err() == nil {
				pause = r.backoff(pause)
				next = r.o.Now().Add(pause)
				r.o.Log.Warn("no new certificate", "error", err, "retry", pause.Round(time.Millisecond))
			}
		}
		if changed {
			r.notify()
		}
		t := time.NewTimer(min(look, max(0, next.Sub(r.o.Now()))))
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
	return nil
}

// renewAt is a random point between 40 and 60 % of what the certificate lives from
// a time on, so that a mesh that started at once does not renew at once. Now, if
// there is none.
func (r *Rotating) renewAt(from time.Time) time.Time {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cert == nil {
		return from
	}
	life := r.cert.Leaf.NotAfter.Sub(from)
	return from.Add(max(minBackoff, time.Duration(float64(life)*(0.4+0.2*r.o.Rand()))))
}

// cachedAt is when a cached certificate began, at the latest now.
func (r *Rotating) cachedAt() time.Time {
	now := r.o.Now()
	if c, err := r.Certificate(); err == nil && c.Leaf.NotBefore.Before(now) {
		return c.Leaf.NotBefore
	}
	return now
}

// backoff doubles the pause, with a jitter of a half, and is short while there is
// no good certificate.
func (r *Rotating) backoff(last time.Duration) time.Duration {
	top := maxBackoff
	if _, err := r.Certificate(); err != nil {
		top = needBackoff
	}
	p := min(max(minBackoff, 2*last), top)
	return p/2 + time.Duration(r.o.Rand()*float64(p/2))
}

func (r *Rotating) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	chain, err := r.client.Sign(ctx, key, r.id, r.o.TTL)
	if err != nil {
		return err
	}
	c, err := TLSCertificate(chain, key)
	if err != nil {
		return fmt.Errorf("certificate authority's answer: %w", err)
	}
	if err := r.check(chain); err != nil {
		return fmt.Errorf("certificate authority's answer: %w", err)
	}
	r.setCertificate(c)
	r.o.Log.Info("new certificate", "id", c.Leaf.URIs[0], "serial", c.Leaf.SerialNumber.Text(16), "until", c.Leaf.NotAfter)
	if err := r.writeCache(key, chain); err != nil {
		r.o.Log.Warn("the certificate cannot be kept for a restart", "error", err)
	}
	return nil
}

// check refuses a certificate that our peers would refuse, or that is another's.
func (r *Rotating) check(chain []*x509.Certificate) error {
	pool, err := r.Roots()
	if err != nil {
		return err
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		id, err := Verify(chain, pool, use, r.o.Now())
		if err != nil {
			return err
		}
		if !id.MemberOf(r.trust) {
			return fmt.Errorf("it is %s, not of the trust domain %s", id, r.trust)
		}
		if !r.id.IsZero() && id != r.id {
			return fmt.Errorf("it is %s, expected %s", id, r.id)
		}
	}
	return nil
}

// stands tells whether the certificate is one that the current roots accept.
func (r *Rotating) stands() bool {
	c, err := r.Certificate()
	if err != nil {
		return false
	}
	chain := make([]*x509.Certificate, 0, len(c.Certificate))
	for _, der := range c.Certificate {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return false
		}
		chain = append(chain, x)
	}
	return r.check(chain) == nil
}

func (r *Rotating) setCertificate(c *tls.Certificate) {
	r.mu.Lock()
	first := r.cert == nil
	r.cert = c
	r.mu.Unlock()
	if first {
		close(r.ready)
	}
}

func (r *Rotating) notify() {
	r.mu.RLock()
	fs := r.changed
	r.mu.RUnlock()
	for _, f := range fs {
		f()
	}
}

// token reads the join token. Its errors name the file and nothing of its content.
func (r *Rotating) token() (string, error) {
	b, err := atomicfile.ReadLimited(r.o.TokenFile, maxToken)
	if err != nil {
		return "", fmt.Errorf("join token: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return "", fmt.Errorf("join token: %s is empty", r.o.TokenFile)
	}
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("join token: %s does not hold one token", r.o.TokenFile)
		}
	}
	return string(b), nil
}

// refreshRoots reads the root file again; one that is bad changes nothing.
func (r *Rotating) refreshRoots() (changed bool) {
	changed, err := r.readRoots()
	if err != nil {
		r.o.Log.Warn("the root certificates cannot be read again", "error", err)
	}
	if changed {
		r.o.Log.Info("the root certificates changed", "file", r.o.RootFile)
	}
	return changed
}

func (r *Rotating) readRoots() (changed bool, err error) {
	text, err := atomicfile.ReadLimited(r.o.RootFile, maxRoots)
	if err != nil {
		return false, err
	}
	r.mu.RLock()
	same := bytes.Equal(text, r.rootText)
	r.mu.RUnlock()
	if same {
		return false, nil
	}
	certs, err := ParseCertificates(text)
	if err != nil {
		return false, fmt.Errorf("%s: %w", r.o.RootFile, err)
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rootText, r.roots = text, pool
	return true, nil
}
