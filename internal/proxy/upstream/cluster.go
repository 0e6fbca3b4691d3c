package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

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
	// Counts is what happened to it.
	Counts Counts

	opts           Options
	dynamic        bool        // endpoints are what requests name
	dns            *assignment // with names; nil: they are not resolved
	dnsRefresh     time.Duration
	lookup         clusterv3.Cluster_DnsLookupFamily
	connectTimeout time.Duration
	idleTimeout    time.Duration
	maxPerConn     int64
	trailers       bool // enable_trailers: else those of messages are dropped
	maxRequests    int64
	maxConns       int64
	maxPending     int64
	maxRetries     int64
	balance        balance
	speaks         protocol
	http2          http2.Options
	socket         *tls.Upstream
	matches        []socketMatch
	bind           netip.Addr

	hosts     atomic.Pointer[hostSet]
	active    atomic.Int64  // requests
	conns     atomic.Int64  // connections
	pending   atomic.Int64  // requests that wait for one
	retries   atomic.Int64  // requests that were sent before
	recycle   atomic.Uint64 // connections of an earlier generation are not used again
	mu        sync.Mutex    // guards the change of hosts, and what follows
	closed    bool
	named     map[string]*Host // of a dynamic cluster
	resolved  time.Time
	resolving chan struct{}
}

// Hosts gives the current endpoints.
func (c *Cluster) Hosts() []*Host {
	if s := c.hosts.Load(); s != nil {
		return s.all
	}
	return nil
}

// setHosts swaps the endpoints and drains those that are gone.
func (c *Cluster) setHosts(a *assignment, all []*Host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		for _, h := range all {
			h.drain()
		}
		return
	}
	old := c.hosts.Swap(c.arrange(a, all))
	if old == nil {
		return
	}
	kept := make(map[*Host]bool, len(all))
	for _, h := range all {
		kept[h] = true
	}
	changed := len(kept) != len(old.all)
	for _, h := range old.all {
		if !kept[h] {
			h.drain()
			changed = true
		}
	}
	if changed && c.balance.closeOnSet {
		c.recycle.Add(1)
		for h := range kept {
			h.closeIdle()
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
