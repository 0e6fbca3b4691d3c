// Package mirror serves to proxies the key sets that objects name, fetched once
// for everybody (package jwks), and decides which addresses may be asked for
// them. It knows the model's list of key sets and nothing else of it.
package mirror

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/mesh"
)

// Options say where sets are kept and how they are reached.
type Options struct {
	Dir string // last good sets
	// Resolve gives the endpoints of a mesh service beyond those that the key
	// sets bring themselves (of a discovered jwks_uri, say), given "host:port";
	// false: not a mesh service. May be nil.
	Resolve func(hostport string) ([]netip.AddrPort, bool)
	DNS     *net.Resolver // for other names; nil: the system's
	Allow   Policy
	Roots   *x509.CertPool // default SystemRoots()
	// Refresh is the time between fetches of a set, at most; 0: what its issuer says,
	// within bounds. MaxAge is how long keys are used without a good fetch; 0:
	// jwks.MaxAge.
	Refresh, MaxAge time.Duration
	OnChange        func(uri string) // after a set or its state changed, on a goroutine of the mirror; may be nil
	Log             *slog.Logger
	Now             func() time.Time
}

// Mirror keeps and serves key sets.
type Mirror struct {
	cache   *jwks.Cache
	o       Options
	seconds *prometheus.HistogramVec

	mu        sync.RWMutex
	endpoints map[string][]netip.AddrPort // of mesh services, by host:port

	transport rootsTransport
	extra     []byte // PEM beside o.Roots; of Set alone
}

// New makes a mirror of nothing. Its fetches end with Run.
func New(o Options) (*Mirror, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Roots == nil {
		pool, err := SystemRoots()
		if err != nil {
			return nil, err
		}
		o.Roots = pool
	}
	m := &Mirror{o: o, seconds: newSeconds()}
	m.transport.Store(m.newTransport(o.Roots))
	m.cache = jwks.New(jwks.Options{
		Transport: &m.transport, MaxAge: o.MaxAge,
		Dir: o.Dir, OnChange: o.OnChange, OnFetch: m.observe, Log: o.Log, Now: o.Now,
	})
	return m, nil
}

// Set replaces the key sets and the roots (PEM) that are trusted beside the system's.
// New sets are fetched at once, and all are with new roots.
func (m *Mirror) Set(sets []mesh.KeySet, roots []byte) {
	endpoints := make(map[string][]netip.AddrPort)
	targets := make([]jwks.Target, 0, len(sets))
	for _, s := range sets {
		targets = append(targets, jwks.Target{URI: s.URI, Issuer: s.Issuer, Refresh: m.o.Refresh})
		if !s.MeshService {
			continue
		}
		if hp, ok := hostport(s.URI); ok {
			endpoints[hp] = s.MeshEndpoints
		}
	}
	m.mu.Lock()
	m.endpoints = endpoints
	m.mu.Unlock()
	changed := !bytes.Equal(roots, m.extra)
	if changed {
		m.trust(roots)
	}
	m.cache.Set(targets)
	if changed {
		m.cache.Refetch()
	}
}

// hostport is how a URI's server is dialled.
func hostport(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	case u.Scheme == "http":
		port = "80"
	default:
		return "", false
	}
	return canonical(u.Hostname() + ":" + port), true
}

// canonical makes two spellings of one server equal.
func canonical(hostport string) string {
	i := strings.LastIndexByte(hostport, ':')
	if i < 0 {
		return strings.ToLower(hostport)
	}
	return strings.ToLower(strings.TrimSuffix(hostport[:i], ".")) + hostport[i:]
}

// States gives the state of every key set, ordered by URI.
func (m *Mirror) States() []jwks.State { return m.cache.States() }

// Run returns nil when ctx has ended and no fetch is under way.
func (m *Mirror) Run(ctx context.Context) error {
	<-ctx.Done()
	m.cache.Close()
	return nil
}

// resolve gives the addresses of a mesh service.
func (m *Mirror) resolve(addr string) ([]netip.AddrPort, bool) {
	m.mu.RLock()
	eps, ok := m.endpoints[canonical(addr)]
	m.mu.RUnlock()
	if ok || m.o.Resolve == nil {
		return eps, ok
	}
	return m.o.Resolve(canonical(addr))
}

var errNoEndpoints = errors.New("the mesh service has no endpoints")
