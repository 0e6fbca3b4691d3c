package upstream

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/upstream/lb"
	"github.com/usher-mesh/usher/internal/proxy/upstream/subset"
)

// Ask is what an endpoint is chosen by.
type Ask struct {
	// Authority (host or host:port) and the port of one without matter to a cluster
	// that dials what the client names.
	Authority string
	Port      uint16
	// Hash keeps requests to one endpoint, if the cluster's policy hashes; 0: none.
	Hash uint64
	// Avoid are endpoints that are not wanted if others can be had in so many
	// Choices more, such as those that were asked before.
	Avoid   []*Host
	Choices int
	// Elsewhere has other priorities asked than those that were; nil: any.
	Elsewhere *Elsewhere
	// Criteria narrow the endpoints of a cluster that has subsets; nil: nothing is asked for.
	Criteria *subset.Criteria
	// What a cluster of type ORIGINAL_DST goes by: what the request is part of, nil for one
	// of the proxy's own, and its fields, nil for what is no request.
	For    *exchange.Exchange
	Header *exchange.Header
}

// balance is how a cluster shares its load.
type balance struct {
	policy      lb.Policy
	panic       uint32 // healthy_panic_threshold in percent
	failOnPanic bool
	byLocality  bool // locality_weighted_lb_config
	byHostname  bool // endpoints' hostnames are hashed instead of addresses
	closeOnSet  bool // close_connections_on_host_set_change
}

// hostSet is an immutable choice of endpoints.
type hostSet struct {
	assignment *assignment
	all        []*Host // beside assignment.endpoints
	distinct   []*Host // the same, each once
	levels     []level // priorities; at least one
	loads      []lb.Load
	counts     []lb.Level // of which these are made
	narrowed   narrowed
}

// level holds the endpoints of a priority that are asked.
type level struct {
	healthy, degraded source
}

// source is a list of endpoints, in localities if those have weights.
type source struct {
	hosts      []*Host
	balancer   lb.Balancer // nil: there are no hosts
	localities []source
	turn       lb.Balancer // among localities; nil: there are none
}

// Pick chooses the endpoint for a request.
func (c *Cluster) Pick(ctx context.Context, a Ask) (*Host, error) {
	if c.dynamic {
		return c.pickNamed(a.Authority, a.Port)
	}
	if c.original != nil {
		return c.pickOriginal(a)
	}
	s := c.hosts.Load()
	if s == nil && c.names != nil {
		if err := c.awaitNames(ctx); err != nil {
			return nil, err
		}
		s = c.hosts.Load()
	}
	if s == nil {
		c.Counts.CxNoneHealthy.Inc()
		return nil, ErrNoHealthy
	}
	for try := 0; ; try++ {
		var h *Host
		if c.subsetting != nil {
			h = c.subsetting.choose(c, s, &a, try)
		} else {
			h = c.choose(s, &a, try)
		}
		switch {
		case h == nil:
			c.Counts.CxNoneHealthy.Inc()
			return nil, ErrNoHealthy
		case try >= a.Choices || !slices.Contains(a.Avoid, h):
			return h, nil
		}
	}
}

func (c *Cluster) choose(s *hostSet, a *Ask, try int) *Host {
	hashes, hash := c.balance.policy.Hashes(), a.Hash
	if hashes && hash == 0 {
		hash = rand.Uint64()
	}
	i, degraded, loads := 0, false, s.loads
	if a.Elsewhere != nil && !hashes { // a table's order is nobody's to change, as in Envoy
		loads = a.Elsewhere.loads(s)
	}
	if loads[0].Healthy < 100 {
		n := hash
		if !hashes {
			n = rand.Uint64()
		}
		i, degraded = lb.Choose(loads, n)
	}
	if a.Elsewhere != nil {
		a.Elsewhere.last = i
	}
	if s.loads[i].Panic {
		c.Counts.Panic.Inc()
		if c.balance.failOnPanic && !hashes {
			return nil
		}
	}
	if degraded {
		return s.levels[i].degraded.pick(hash, try)
	}
	return s.levels[i].healthy.pick(hash, try)
}

func (s *source) pick(hash uint64, try int) *Host {
	if s.turn != nil {
		s = &s.localities[s.turn.Pick(hash, try)]
	}
	switch {
	case s.balancer == nil:
		return nil
	case len(s.hosts) == 1:
		return s.hosts[0]
	}
	return s.hosts[s.balancer.Pick(hash, try)]
}

// member is an endpoint with its host.
type member struct {
	*endpoint
	host *Host
}

// arrange makes the set of an assignment's hosts, as their health is now.
func (c *Cluster) arrange(a *assignment, all []*Host) *hostSet {
	s := &hostSet{assignment: a, all: all, distinct: distinct(all)}
	levels := make([][]member, a.priorities())
	for i, h := range all {
		e := &a.endpoints[i]
		levels[e.priority] = append(levels[e.priority], member{e, h})
	}
	counts := make([]lb.Level, len(levels))
	for i, l := range levels {
		counts[i].All = len(l)
		for _, m := range l {
			if m.excluded() {
				counts[i].Excluded++
			}
			switch m.state() {
			case corev3.HealthStatus_HEALTHY:
				counts[i].Healthy++
			case corev3.HealthStatus_DEGRADED:
				counts[i].Degraded++
			}
		}
	}
	s.counts, s.loads = counts, lb.Spread(counts, a.overprovisioning, c.balance.panic)
	for i, l := range levels {
		s.levels = append(s.levels, c.arrangeLevel(l, s.loads[i].Panic, a.overprovisioning))
	}
	return s
}

func distinct(all []*Host) []*Host {
	seen := make(map[*Host]bool, len(all))
	out := make([]*Host, 0, len(all))
	for _, h := range all {
		if !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
	}
	return out
}

func (c *Cluster) arrangeLevel(all []member, panic bool, overprovisioning uint32) (l level) {
	healthy, degraded := all, []member(nil)
	if !panic {
		healthy, degraded = in(all, corev3.HealthStatus_HEALTHY), in(all, corev3.HealthStatus_DEGRADED)
	}
	switch {
	case c.balance.policy.Hashes(): // one table, which degraded endpoints are not in
		l.healthy = c.hashed(healthy, all)
		l.degraded = l.healthy
	case c.balance.byLocality && !panic:
		l.healthy = c.localized(healthy, all, overprovisioning)
		l.degraded = c.localized(degraded, all, overprovisioning)
	default:
		l.healthy, l.degraded = c.flat(healthy), c.flat(degraded)
	}
	return l
}

func in(all []member, state corev3.HealthStatus) (out []member) {
	for _, m := range all {
		if m.state() == state {
			out = append(out, m)
		}
	}
	return out
}

func (c *Cluster) flat(ms []member) (s source) {
	weights := make([]float64, len(ms))
	for i, m := range ms {
		weights[i] = float64(m.weight)
	}
	return c.source(ms, weights)
}

func (c *Cluster) source(ms []member, weights []float64) (s source) {
	if len(ms) == 0 {
		return s
	}
	entries := make([]lb.Entry, len(ms))
	for i, m := range ms {
		key := m.hashKey
		switch {
		case key != "":
		case c.balance.byHostname:
			key = m.key.name
		default:
			key = m.host.Text
		}
		entries[i] = lb.Entry{Weight: weights[i], Key: key, Active: &m.host.active}
		s.hosts = append(s.hosts, m.host)
	}
	s.balancer = c.balance.policy.New(entries)
	return s
}

// localized takes localities in turn by their weights, less as their endpoints fail.
// Without any weight there are no localities.
func (c *Cluster) localized(ms, all []member, overprovisioning uint32) source {
	s := c.flat(ms)
	sizes := map[string]int{}
	for _, m := range all {
		if !m.excluded() {
			sizes[m.locality.name]++
		}
	}
	var turns []lb.Entry
	for _, group := range byLocality(ms) {
		l := group[0].locality
		if sizes[l.name] == 0 {
			continue
		}
		part := min(1, float64(overprovisioning)/100*float64(len(group))/float64(sizes[l.name]))
		if w := float64(l.weight) * part; w > 0 {
			turns = append(turns, lb.Entry{Weight: w})
			s.localities = append(s.localities, c.flat(group))
		}
	}
	if len(turns) > 0 {
		s.turn = lb.RoundRobin{}.New(turns)
	}
	return s
}

// hashed makes one table of all, with weights that add up to 1: those of hosts, or of
// localities and of the hosts in each.
func (c *Cluster) hashed(ms, all []member) source {
	groups, total := [][]member{ms}, uint64(0)
	if c.balance.byLocality && len(all) > 0 {
		groups = byLocality(ms)
		for _, g := range byLocality(all) {
			total += uint64(g[0].locality.weight)
		}
		if total == 0 {
			return source{}
		}
	}
	var in []member
	var weights []float64
	for _, g := range groups {
		if len(g) == 0 || total > 0 && g[0].locality.weight == 0 {
			continue
		}
		share, hosts := 1.0, uint64(0)
		if total > 0 {
			share = float64(g[0].locality.weight) / float64(total)
		}
		for _, m := range g {
			hosts += uint64(m.weight)
		}
		for _, m := range g {
			in = append(in, m)
			weights = append(weights, float64(m.weight)*share/float64(hosts))
		}
	}
	return c.source(in, weights)
}

// byLocality groups members, localities in Envoy's order: that of their names.
func byLocality(ms []member) (out [][]member) {
	at := map[string]int{}
	for _, m := range ms {
		i, ok := at[m.locality.name]
		if !ok {
			i = len(out)
			at[m.locality.name] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], m)
	}
	slices.SortFunc(out, func(a, b []member) int { return strings.Compare(a[0].locality.name, b[0].locality.name) })
	return out
}
