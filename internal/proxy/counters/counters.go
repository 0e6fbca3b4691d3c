// Package counters holds what the proxy counts, under Envoy's names. Counting is one
// atomic; names come from configuration alone, so their number is bounded by it. It
// knows no filter and no format.
package counters

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Scope is what a name begins with: in Envoy's text it is <Prefix><Of>.<Name>, in
// Prometheus' envoy_<Prefix>_<Name>, with Of as the value of Label. Without Label it is
// envoy_<Prefix>_<Of>_<Name>.
type Scope struct{ Prefix, Label string }

// The scopes.
var (
	HTTP    = Scope{"http.", "envoy_http_conn_manager_prefix"}
	Network = Scope{"", "envoy_rbac_prefix"}
	// Cluster's are those of clusters, which are held (Hold) while there is one of the name.
	Listener        = Scope{"listener.", "envoy_listener_address"}
	Cluster         = Scope{"cluster.", "envoy_cluster_name"}
	LocalRateLimit  = Scope{"", "envoy_local_http_ratelimit_prefix"}
	ConnectionLimit = Scope{"connection_limit.", "envoy_connection_limit_prefix"}
	AccessLog       = Scope{"access_logs.", ""}
	Tracing         = Scope{"tracing.", ""}
)

// ListenerHTTP is the scope of connection managers within a listener's.
func ListenerHTTP(address string) Scope {
	return Scope{"listener." + address + ".http.", "envoy_http_conn_manager_prefix"}
}

// Name names a counter, or a gauge.
type Name struct {
	Scope Scope
	Of    string // whose it is, such as a connection manager's stat_prefix
	Name  string // such as "fault.aborts_injected"
	Gauge bool   // it goes down, too
}

// Value is a counter as it stands.
type Value struct {
	Name
	Value     uint64
	Histogram *Histogram // nil: it is none
}

// Set holds counters. They go on counting when a configuration is replaced by one
// that counts under the same names.
type Set struct {
	mu     sync.Mutex
	all    map[Name]*atomic.Int64
	groups map[group]any // pointers to structs
	held   map[owner]int
}

// owner is what counters are of.
type owner struct {
	scope Scope
	of    string
}

// Hold keeps the counters of an owner until it is released as often; those that are
// never held stay.
func (s *Set) Hold(scope Scope, of string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[owner]int{}
	}
	s.held[owner{scope, of}]++
}

// Release ends a Hold. With the last one the owner's counters go.
func (s *Set) Release(scope Scope, of string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := owner{scope, of}
	if s.held[o]--; s.held[o] > 0 {
		return
	}
	delete(s.held, o)
	maps.DeleteFunc(s.all, func(n Name, _ *atomic.Int64) bool { return owner{n.Scope, n.Of} == o })
	maps.DeleteFunc(s.groups, func(g group, _ any) bool { return g.owner == o })
}

// Of gives the counter of that name; a nil Set's are nobody's.
func (s *Set) Of(n Name) *atomic.Int64 {
	if s == nil {
		return new(atomic.Int64)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[n]
	if c == nil {
		if s.all == nil {
			s.all = map[Name]*atomic.Int64{}
		}
		c = new(atomic.Int64)
		s.all[n] = c
	}
	return c
}

// List gives all counters, in the order of their names.
func (s *Set) List() []Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Value, 0, len(s.all))
	for n, c := range s.all {
		out = append(out, Value{Name: n, Value: uint64(max(c.Load(), 0))})
	}
	for g, in := range s.groups {
		out = g.list(out, in)
	}
	slices.SortFunc(out, func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Scope.Prefix, b.Scope.Prefix), cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name.Name, b.Name.Name))
	})
	return out
}
