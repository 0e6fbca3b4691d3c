// Package mirror serves to proxies the key sets that objects name, fetched once
// for everybody (package jwks), and decides which addresses may be asked for
// them. It knows the model's list of key sets and nothing else of it.
package mirror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
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
	Resolve  func(hostport string) ([]netip.AddrPort, bool)
	DNS      *net.Resolver // for other names; nil: the system's
	Allow    Policy
	Roots    *x509.CertPool   // default SystemRoots()
	OnChange func(uri string) // after a set or its state changed, on a goroutine of the mirror; may be nil
	Log      *slog.Logger
	Now      func() time.Time
}

// Mirror keeps and serves key sets.
type Mirror struct {
	cache   *jwks.Cache
	o       Options
	seconds *prometheus.HistogramVec

	mu        sync.RWMutex
	endpoints map[string][]netip.AddrPort // of mesh services, by host:port
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
	m.cache = jwks.New(jwks.Options{
		Transport: &http.Transport{
			DialContext: m.dial,
			// No proxy: it would connect where the policy forbids.
			Proxy:                  nil,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12, Time: o.Now},
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			// Minutes lie between fetches, and endpoints move.
			DisableKeepAlives: true,
		},
		Dir: o.Dir, OnChange: o.OnChange, OnFetch: m.observe, Log: o.Log, Now: o.Now,
	})
	return m, nil
}

// Set replaces the key sets. New ones are fetched at once.
func (m *Mirror) Set(sets []mesh.KeySet) {
	endpoints := make(map[string][]netip.AddrPort)
	targets := make([]jwks.Target, 0, len(sets))
	for _, s := range sets {
		targets = append(targets, jwks.Target{URI: s.URI, Issuer: s.Issuer})
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
	m.cache.Set(targets)
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
