package upstream

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// ErrNoHealthy is a cluster without an endpoint that may be asked (503, UH).
var ErrNoHealthy = errors.New("no healthy upstream")

// Resolver is what *net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options are what clusters share.
type Options struct {
	Secrets  tls.Secrets
	Resolver Resolver // nil: the system's
	// DialAllowed refuses destinations of clusters that dial what the client
	// names (dynamic_forward_proxy), such as usher's own ports. Nil allows all.
	DialAllowed func(netip.AddrPort) error
	// HTTP2 counts what happens on connections of HTTP/2; nil for nobody.
	HTTP2 *http2.Counters
	Log   *slog.Logger
	Now   func() time.Time
}

// Cluster is one compiled cluster. It is safe for concurrent use.
type Cluster struct {
	Name string
	// EDS is the name of the ClusterLoadAssignment that gives its endpoints, ""
	// if the cluster holds them itself.
	EDS string

	opts           Options
	dynamic        bool // endpoints are what requests name
	dns            []dnsTarget
	dnsRefresh     time.Duration
	connectTimeout time.Duration
	idleTimeout    time.Duration
	maxPerConn     int64
	trailers       bool // enable_trailers: else those of messages are dropped
	maxRequests    int64
	maxConns       int64
	policy         policy
	speaks         protocol
	http2          http2.Options
	socket         *tls.Upstream
	matches        []socketMatch
	bind           netip.Addr

	hosts     atomic.Pointer[hostSet]
	active    atomic.Int64  // requests
	conns     atomic.Int64  // connections
	recycle   atomic.Uint64 // connections of an earlier generation are not used again
	mu        sync.Mutex    // guards the change of hosts, and what follows
	closed    bool
	named     map[string]*Host // of a dynamic cluster
	resolved  time.Time
	resolving chan struct{}
}

type policy uint8

const (
	roundRobin policy = iota
	leastRequest
	random
)

// hostSet is an immutable choice of endpoints.
type hostSet struct {
	all   []*Host
	ready []*Host // the priority in use; a host of weight n stands n times
	next  atomic.Uint64
}

// Pick chooses the endpoint for a request. Authority (host or host:port) and the
// default port matter only to a cluster that dials what the client names.
func (c *Cluster) Pick(ctx context.Context, authority string, port uint16) (*Host, error) {
	if c.dynamic {
		return c.pickNamed(authority, port)
	}
	if c.dns != nil {
		if err := c.refresh(ctx); err != nil {
			return nil, err
		}
	}
	s := c.hosts.Load()
	if s == nil || len(s.ready) == 0 {
		return nil, ErrNoHealthy
	}
	n := uint64(len(s.ready))
	if n == 1 {
		return s.ready[0], nil
	}
	switch c.policy {
	case leastRequest:
		a, b := s.ready[rand.Uint64N(n)], s.ready[rand.Uint64N(n)]
		if b.active.Load() < a.active.Load() {
			return b, nil
		}
		return a, nil
	case random:
		return s.ready[rand.Uint64N(n)], nil
	}
	return s.ready[s.next.Add(1)%n], nil
}

// Hosts gives the current endpoints.
func (c *Cluster) Hosts() []*Host {
	if s := c.hosts.Load(); s != nil {
		return s.all
	}
	return nil
}

// setHosts swaps the endpoints and drains those that are gone.
func (c *Cluster) setHosts(all, ready []*Host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		for _, h := range all {
			h.drain()
		}
		return
	}
	old := c.hosts.Swap(&hostSet{all: all, ready: ready})
	if old == nil {
		return
	}
	kept := make(map[*Host]bool, len(all))
	for _, h := range all {
		kept[h] = true
	}
	for _, h := range old.all {
		if !kept[h] {
			h.drain()
		}
	}
}

// Recycle lets no connection that is open now carry another request: for when
// certificates or roots changed. Requests in flight end undisturbed.
func (c *Cluster) Recycle() {
	c.recycle.Add(1)
	for _, h := range c.everyHost() {
		h.closeIdle()
	}
}

// Close drains all connections: idle ones at once, others after their request.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for _, h := range c.everyHost() {
		h.drain()
	}
}

func (c *Cluster) everyHost() []*Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Host
	if s := c.hosts.Load(); s != nil {
		all = append(all, s.all...)
	}
	for _, h := range c.named {
		all = append(all, h)
	}
	return all
}

func (c *Cluster) resolver() Resolver {
	if c.opts.Resolver != nil {
		return c.opts.Resolver
	}
	return net.DefaultResolver
}
