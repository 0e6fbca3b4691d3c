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

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/dns"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/origin"
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
	// names (dynamic_forward_proxy, ORIGINAL_DST), such as usher's own ports. Nil allows all.
	DialAllowed func(netip.AddrPort) error
	// HTTP2 counts what happens on connections of HTTP/2; nil for nobody.
	HTTP2 *http2.Counters
	// Warmed hears, in a goroutine of its own, that a cluster waits no more for the first
	// checks of its endpoints (Warm); nil for nobody.
	Warmed func()
	// Counters holds what clusters count, under Envoy's names; nil for nobody.
	Counters *counters.Set
	Log      *slog.Logger
	Now      func() time.Time
}

// Cluster is one compiled cluster. It is safe for concurrent use.
type Cluster struct {
	Name string
	// EDS names the ClusterLoadAssignment that gives its endpoints; zero if the cluster
	// holds them itself.
	EDS origin.Name
	// Counts is what happened to it.
	Counts *Counts

	stat           string // what its counters are named by
	metadata       map[string]jsondoc.Value
	opts           Options
	dynamic        bool         // endpoints are what requests name
	original       *originalDst // endpoints are where connections were made to; nil: they are not
	dnsForm        dnsForm
	names          *names      // nil: none are to be resolved
	dnsClient      *dns.Client // nil: the system resolves
	lookup         clusterv3.Cluster_DnsLookupFamily
	connectTimeout time.Duration
	idleTimeout    time.Duration
	dialer         net.Dialer    // with the probes of upstream_connection_options
	maxAge         time.Duration // of a connection; 0: any
	maxPerConn     int64
	trailers       bool // enable_trailers: else those of messages are dropped
	balance        balance
	speaks         protocol
	http2          http2.Options
	socket         *tls.Upstream
	proxied        *proxied // nil: connections do not tell for whom they are
	matches        []socketMatch
	bind           netip.Addr
	outlier        *detector   // nil: outliers are not looked for
	checker        *checker    // nil: endpoints are not checked
	subsetting     *subsetting // nil: all endpoints are asked
	merge          merger
	alpn           []string    // what is offered instead of the protocol's own, if any
	used           atomic.Bool // there was a connection
	keepsNone      bool        // ignore_health_on_host_removal
	ignoresNew     bool        // ignore_new_hosts_until_first_hc

	hosts    atomic.Pointer[hostSet]
	breakers [priorities]breaker
	recycle  atomic.Uint64 // connections of an earlier generation are not used again
	mu       sync.Mutex    // guards the change of hosts, and what follows
	closed   bool
	named    map[string]*Host // of a dynamic cluster, or one of type ORIGINAL_DST
	maxNamed int
}

// Hosts gives the current endpoints.
func (c *Cluster) Hosts() []*Host {
	if s := c.hosts.Load(); s != nil {
		return s.all
	}
	return nil
}

// setHosts swaps the endpoints and drains those that are gone. The lock is held.
func (c *Cluster) setHosts(a *assignment, all []*Host) {
	if c.closed {
		for _, h := range all {
			h.drain()
		}
		return
	}
	kept := make(map[*Host]bool, len(all))
	for _, h := range all {
		kept[h] = true
	}
	old := c.hosts.Load()
	changed := old != nil && len(kept) != len(old.all)
	for _, h := range c.distinct() {
		if !kept[h] {
			c.leave(h)
			changed = true
		}
	}
	if c.checker != nil {
		for _, h := range all {
			c.checker.join(h)
		}
	}
	c.merge.stop()
	if changed || old == nil && len(all) > 0 {
		c.Counts.Members.Inc()
	}
	if changed {
		c.merge.last = c.opts.Now()
	}
	c.publish(a, all)
	if changed && c.balance.closeOnSet {
		c.recycle.Add(1)
		for h := range kept {
			h.closeIdle()
		}
	}
}

// leave lets a host go. The lock is held.
func (c *Cluster) leave(h *Host) {
	h.gone = true
	if c.outlier != nil {
		c.outlier.leave(h)
	}
	if c.checker != nil {
		c.checker.leave(h)
	}
	h.drain()
}

// remove lets go a host that stayed only because its checks went well. The lock is held.
func (c *Cluster) remove(h *Host) {
	s := c.hosts.Load()
	a := &assignment{overprovisioning: s.assignment.overprovisioning}
	var all []*Host
	for i, other := range s.all {
		if other != h {
			a.endpoints = append(a.endpoints, s.assignment.endpoints[i])
			all = append(all, other)
		}
	}
	c.setHosts(a, all)
}

// distinct gives the hosts, each once: several endpoints may be the same one.
func (c *Cluster) distinct() []*Host {
	if s := c.hosts.Load(); s != nil {
		return s.distinct
	}
	return nil
}

// counter gives the cluster's counter of a name.
func (c *Cluster) counter(name string, gauge bool) *atomic.Int64 {
	return c.opts.Counters.Of(counters.Name{Scope: counters.Cluster, Of: c.stat, Name: name, Gauge: gauge})
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
	again := c.closed
	c.closed = true
	if c.names != nil && c.names.timer != nil {
		c.names.timer.Stop()
	}
	c.merge.stop()
	if c.original != nil {
		c.original.stop()
	}
	if c.outlier != nil && !again {
		c.outlier.close()
	}
	if c.checker != nil {
		c.checker.close()
	}
	c.mu.Unlock()
	if !again {
		c.opts.Counters.Release(counters.Cluster, c.stat)
	}
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
