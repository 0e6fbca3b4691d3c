package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"golang.org/x/sync/errgroup"

	"github.com/usher-mesh/usher/internal/proxy/dns"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// names are a cluster's endpoints that are to be resolved, all the time (STRICT_DNS), or the
// one of them whose addresses are one endpoint together (LOGICAL_DNS).
type names struct {
	*assignment
	logical bool
	// known are the addresses that names had last, by the place of their endpoint.
	known [][]dns.Address
	first chan struct{} // closed once they were resolved, or could not be
	timer *time.Timer   // until they are again
	keys  []hostKey     // of the assignment that was made of them last

	refresh, failure, failureMax time.Duration
	backoff                      time.Duration // what failure has become; 0: the last time went well
	jitter                       time.Duration
	byTTL                        bool
	least                        time.Duration // by TTL

	attempt, success, failed, same *atomic.Int64
}

// resolveTimeout bounds the asking for a name.
const resolveTimeout = 30 * time.Second

func (c *Cluster) resolving(m *clusterv3.Cluster) error {
	a, err := c.decode(m.GetLoadAssignment(), true)
	if err != nil {
		return strict.At("load_assignment", err)
	}
	n := &names{assignment: a, logical: m.GetType() == clusterv3.Cluster_LOGICAL_DNS, known: make([][]dns.Address, len(a.endpoints)), first: make(chan struct{}), byTTL: m.GetRespectDnsTtl(), least: c.dnsForm.least}
	if n.logical {
		if err := single(m.GetLoadAssignment()); err != nil {
			return strict.At("load_assignment", err)
		}
		n.endpoints[0].priority = 0
	}
	if err := c.turns(n, m); err != nil {
		return strict.At(c.dnsForm.at, err)
	}
	n.attempt, n.success, n.failed = c.counter("update_attempt", false), c.counter("update_success", false), c.counter("update_failure", false)
	n.same = c.counter("update_no_rebuild", false)
	c.names = n
	return nil
}

// turns compiles when names are resolved, and by whom.
func (c *Cluster) turns(n *names, m *clusterv3.Cluster) (err error) {
	if n.refresh, err = above0("dns_refresh_rate", m.GetDnsRefreshRate(), defaultDNSRefresh); err != nil {
		return err
	}
	n.refresh = max(n.refresh, minDNSRefresh)
	if n.jitter, err = notNegative("dns_jitter", m.GetDnsJitter(), 0); err != nil {
		return err
	}
	if err := n.failures(m.GetDnsFailureRefreshRate()); err != nil {
		return strict.At("dns_failure_refresh_rate", err)
	}
	return c.resolveBy(m)
}

const minDNSRefresh = 100 * time.Millisecond

// single holds the form of LOGICAL_DNS.
func single(m *endpointv3.ClusterLoadAssignment) error {
	if len(m.GetEndpoints()) != 1 || len(m.GetEndpoints()[0].GetLbEndpoints()) != 1 {
		return strict.Errorf("endpoints", "LOGICAL_DNS has one locality with one endpoint")
	}
	return nil
}

// failures compiles how soon names are asked for again that could not be: by default as
// others, else by chance, longer each time.
func (n *names) failures(m *clusterv3.Cluster_RefreshRate) (err error) {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "base_interval", "max_interval"); err != nil {
		return err
	}
	if m.GetBaseInterval() == nil {
		return strict.Errorf("base_interval", "missing")
	}
	if n.failure, err = above0("base_interval", m.GetBaseInterval(), 0); err != nil {
		return err
	}
	if n.failureMax, err = above0("max_interval", m.GetMaxInterval(), min(n.failure, maxDuration/10)*10); err != nil {
		return err
	}
	if n.failureMax < n.failure {
		return strict.Errorf("max_interval", "below base_interval")
	}
	return nil
}

// next is how long until names are resolved again, whose addresses hold for ttl, if that is
// above 0.
func (n *names) next(ttl time.Duration, failed bool) time.Duration {
	d := n.refresh
	if n.byTTL && ttl > 0 {
		d = max(ttl, n.least)
	}
	if !failed {
		n.backoff = 0
	} else if n.failure > 0 {
		if n.backoff = min(max(2*n.backoff, n.failure), n.failureMax); n.backoff > 0 {
			d = min(d, max(rand.N(n.backoff), minDNSRefresh))
		}
	}
	if n.jitter > 0 {
		d += rand.N(n.jitter)
	}
	return d
}

// awaitNames waits until names were resolved for the first time.
func (c *Cluster) awaitNames(ctx context.Context) error {
	select {
	case <-c.names.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isResolved tells whether names were resolved, or could not be.
func (n *names) isResolved() bool {
	select {
	case <-n.first:
		return true
	default:
		return false
	}
}

// renew resolves the names, and has that done again. How long it takes holds up nobody that
// has addresses.
func (c *Cluster) renew() {
	n := c.names
	n.attempt.Add(1)
	a, ttl, failed := c.resolve()
	if failed {
		n.failed.Add(1)
	} else {
		n.success.Add(1)
	}
	if s := c.hosts.Load(); s != nil && n.equal(a) {
		n.same.Add(1)
	} else {
		n.keys = keysOf(a)
		c.assign(a)
	}
	c.mu.Lock()
	idle := false
	if !n.isResolved() {
		close(n.first)
		idle = c.checker != nil && c.checker.pending == 0 && !c.closed
	}
	if !c.closed {
		n.timer.Reset(n.next(ttl, failed))
	}
	c.mu.Unlock()
	if idle && c.opts.Warmed != nil {
		go c.opts.Warmed()
	}
}

// resolve gives the assignment with addresses instead of names, and how long the first to go
// of them holds. A name that has none any more is left out, of LOGICAL_DNS it keeps those
// it had; so does a name that could not be asked for.
func (c *Cluster) resolve() (out *assignment, ttl time.Duration, failed bool) {
	n := c.names
	errs := n.each(c.lookupName)
	out = &assignment{overprovisioning: n.overprovisioning}
	for i, e := range n.endpoints {
		if e.dns == "" {
			out.endpoints = append(out.endpoints, e)
			continue
		}
		if err := errs[i]; err != nil {
			c.opts.Log.Warn("name of a cluster's endpoint does not resolve", "cluster", c.Name, "endpoint", e.dns, "error", err)
			if none := errors.Is(err, dns.ErrNone); none && !n.logical {
				n.known[i] = nil
			} else {
				failed = true
			}
		} else {
			for _, a := range n.known[i] {
				if a.TTL > 0 && (ttl == 0 || a.TTL < ttl) {
					ttl = a.TTL
				}
			}
		}
		out.endpoints = append(out.endpoints, n.resolved(e, n.known[i])...)
	}
	return out, ttl, failed
}

// atOnce is how many names of a cluster are asked for at a time.
const atOnce = 8

// each asks for the addresses of all names. What is known of one changes unless there is an
// error.
func (n *names) each(ask func(context.Context, string) ([]dns.Address, error)) []error {
	errs := make([]error, len(n.endpoints))
	var all errgroup.Group
	all.SetLimit(atOnce)
	for i, e := range n.endpoints {
		if e.dns == "" {
			continue
		}
		all.Go(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
			defer cancel()
			addrs, err := ask(ctx, e.dns)
			if errs[i] = err; err == nil {
				n.known[i] = addrs
			}
			return nil
		})
	}
	_ = all.Wait() // errors are told by name
	return errs
}

// resolved gives the endpoints of a name.
func (n *names) resolved(e endpoint, addrs []dns.Address) (out []endpoint) {
	for i, a := range addrs {
		e.key.addr = netip.AddrPortFrom(a.Unmap(), e.port)
		if !n.logical {
			out = append(out, e)
			continue
		}
		if i == 0 {
			out = append(out, e)
		} else {
			out[0].key.others += e.key.addr.String() + " "
		}
	}
	return out
}

func keysOf(a *assignment) (out []hostKey) {
	for i := range a.endpoints {
		out = append(out, a.endpoints[i].key)
	}
	return out
}

// equal tells whether the addresses are those of before, in any order where that means nothing.
func (n *names) equal(a *assignment) bool {
	now := keysOf(a)
	less := func(x, y hostKey) int { return x.addr.Compare(y.addr) }
	slices.SortStableFunc(now, less)
	before := slices.Clone(n.keys)
	slices.SortStableFunc(before, less)
	return slices.Equal(now, before)
}

// lookupName gives a name's addresses, of the families that dns_lookup_family wants.
func (c *Cluster) lookupName(ctx context.Context, name string) ([]dns.Address, error) {
	if c.dnsClient != nil {
		return c.askName(ctx, name)
	}
	all, err := c.resolver().LookupNetIP(ctx, "ip", name)
	var not *net.DNSError
	if errors.As(err, &not) && not.IsNotFound {
		return nil, dns.ErrNone
	}
	if err != nil {
		return nil, err
	}
	wanted := c.family(all)
	if len(wanted) == 0 {
		return nil, dns.ErrNone
	}
	out := make([]dns.Address, len(wanted))
	for i, a := range wanted {
		out[i] = dns.Address{Addr: a.Unmap()}
	}
	return out, nil
}

// askName asks the servers that are configured.
func (c *Cluster) askName(ctx context.Context, name string) ([]dns.Address, error) {
	six, alone := false, false
	switch c.lookup {
	case clusterv3.Cluster_ALL:
		return c.dnsClient.Both(ctx, name)
	case clusterv3.Cluster_V4_ONLY:
		alone = true
	case clusterv3.Cluster_V6_ONLY:
		six, alone = true, true
	case clusterv3.Cluster_AUTO:
		six = true
	}
	addrs, err := c.dnsClient.Lookup(ctx, name, six)
	if err == nil || alone {
		return addrs, err
	}
	others, otherErr := c.dnsClient.Lookup(ctx, name, !six)
	if otherErr != nil && !errors.Is(err, dns.ErrNone) { // it may well have addresses
		return nil, err
	}
	return others, otherErr
}

// othersOf gives the further addresses of an endpoint of LOGICAL_DNS.
func (k *hostKey) othersOf() (out []netip.AddrPort) {
	for _, text := range strings.Fields(k.others) {
		out = append(out, netip.MustParseAddrPort(text))
	}
	return out
}
