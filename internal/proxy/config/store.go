package config

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

const (
	defaultWarmFor = 5 * time.Second
	// endpointsLag is how long the copy on disk may be behind for endpoints, which
	// change often and carry no policy.
	endpointsLag = 500 * time.Millisecond
)

// Store holds all resources and what was compiled of them.
type Store struct {
	o        Options
	snapshot atomic.Pointer[snapshot.Snapshot]
	// served are the secrets in force; handshakes read them without the lock.
	served atomic.Pointer[map[string]*secretEntry]

	mu        sync.Mutex
	clusters  map[string]*clusterEntry
	endpoints map[string]*endpointsEntry
	routes    map[string]*entry[*route.Table]
	listeners map[string]*entry[Prepared]
	secrets   map[string]*secretEntry
	wanted    map[string]set                // names to subscribe to, by type
	rejected  map[string]map[string]refused // type -> name -> why the last version is not in force
	seen      set                           // types of which a response came
	cached    bool                          // started from the copy on disk
	batch     bool                          // settle later: more comes at once
	closed    bool
	timer     *time.Timer // of what waits, and of endpoints to be kept
	dirty     bool        // endpoints are newer than the copy on disk
	rejudge   bool        // open connections do not know yet what is in force
	retired   []*upstream.Cluster
}

// held is one version of a resource.
type held struct {
	version string
	body    *anypb.Any
	updated time.Time
}

func hold(r xds.Resource) held { return held{r.Version, r.Body, time.Now()} }

// entry is a route table or a listener.
type entry[T any] struct {
	held          // the last good version
	guard   guard // of that version
	refs    refs  // of that version
	active  T     // in force
	shown   held  // the version that active was compiled of, not set if it denies
	used    refs  // of active
	live    bool  // active is set
	denied  bool  // active denies, since a bad version would change the guard
	next    T     // waits for what it needs
	pending bool  // next is set
	since   time.Time
	failed  bool // Apply refused next; it is tried again
	static  bool // of the bootstrap
}

type clusterEntry struct {
	held
	prev    *upstream.Cluster // serves while c waits for its first health checks
	c       *upstream.Cluster
	refs    refs
	static  bool
	removed bool // it goes when nothing names it
	since   time.Time
}

type endpointsEntry struct{ held }

var _ xds.Sink = (*Store)(nil)

// New makes an empty store.
func New(o Options) *Store {
	if o.WarmFor <= 0 {
		o.WarmFor = defaultWarmFor
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		o: o, clusters: map[string]*clusterEntry{}, endpoints: map[string]*endpointsEntry{},
		routes: map[string]*entry[*route.Table]{}, listeners: map[string]*entry[Prepared]{},
		secrets: map[string]*secretEntry{}, wanted: map[string]set{}, rejected: map[string]map[string]refused{}, seen: set{},
	}
	s.snapshot.Store(&snapshot.Snapshot{})
	s.served.Store(&map[string]*secretEntry{})
	return s
}

// Snapshot gives what requests are served by now.
func (s *Store) Snapshot() *snapshot.Snapshot { return s.snapshot.Load() }

// Apply puts the good resources of an update in force and tells why it refuses
// the others.
func (s *Store) Apply(u xds.Update) (rejected map[string]string) {
	s.mu.Lock()
	defer s.changed()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	rejected = map[string]string{}
	s.seen.add(u.Type)
	for _, r := range u.Resources {
		if err := s.put(u.Type, r); err != nil {
			rejected[r.Name] = err.Error()
			s.o.Log.Warn("resource refused", "type", u.Type, "name", r.Name, "version", r.Version, "error", err)
		}
		s.reject(u.Type, r.Name, rejected[r.Name])
	}
	for _, name := range u.Removed {
		why := ""
		if err := s.remove(u.Type, name); err != nil {
			why = err.Error()
			rejected[name] = why
		}
		s.reject(u.Type, name, why)
	}
	if !s.batch {
		for name, why := range s.settle() {
			if u.Type == xds.ListenerType || name == "" {
				rejected[name] = why
			}
		}
		s.keep(u.Type)
	}
	return rejected
}

func (s *Store) put(typeURL string, r xds.Resource) (err error) {
	defer s.contain(typeURL, r.Name, &err)
	if s.static(typeURL, r.Name) {
		// As in Envoy, which does not call it an error: a mesh sends all proxies the clusters
		// that some have from their bootstrap.
		s.o.Log.Debug("the bootstrap has a resource of that name, which stays", "type", typeURL, "name", r.Name)
		return nil
	}
	switch typeURL {
	case xds.ClusterType:
		return s.putCluster(r, false)
	case xds.EndpointType:
		return s.putEndpoints(r)
	case xds.RouteType:
		return s.putRoute(r)
	case xds.ListenerType:
		return s.putListener(r)
	}
	return s.putSecret(r)
}

// static tells whether a resource is the bootstrap's, which nothing over xDS changes.
func (s *Store) static(typeURL, name string) bool {
	switch typeURL {
	case xds.ClusterType:
		e := s.clusters[name]
		return e != nil && e.static
	case xds.ListenerType:
		e := s.listeners[name]
		return e != nil && e.static
	case xds.SecretType:
		e := s.secrets[name]
		return e != nil && e.static
	}
	return false
}

func (s *Store) remove(typeURL, name string) (err error) {
	defer s.contain(typeURL, name, &err)
	if s.static(typeURL, name) {
		return nil
	}
	switch typeURL {
	case xds.ClusterType:
		if e := s.clusters[name]; e != nil {
			e.removed, e.since = true, time.Now()
		}
	case xds.EndpointType:
		s.noEndpoints(name)
	case xds.RouteType:
		delete(s.routes, name)
	case xds.ListenerType:
		if e := s.listeners[name]; e != nil {
			discard(e)
			delete(s.listeners, name)
			s.o.Listeners.Remove(name)
		}
	case xds.SecretType:
		delete(s.secrets, name)
	}
	return nil
}

func (s *Store) reject(typeURL, name, why string) {
	m := s.rejected[typeURL]
	switch {
	case why == "":
		delete(m, name)
	case m == nil:
		s.rejected[typeURL] = map[string]refused{name: {why, time.Now()}}
	default:
		m[name] = refused{why, time.Now()}
	}
}

// refused is a version that is not in force.
type refused struct {
	why string
	at  time.Time
}

// Wanted gives the names to subscribe to: all clusters and listeners, and by name
// what those refer to.
func (s *Store) Wanted(typeURL string) []string {
	switch typeURL {
	case xds.ClusterType, xds.ListenerType:
		return []string{xds.Wildcard}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.wanted[typeURL]))
}

// Versions gives the version of each resource that is held.
func (s *Store) Versions(typeURL string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	s.each(typeURL, func(name string, h held, _ bool) { out[name] = h.version })
	return out
}

// each gives the last good version of every resource that came over xDS.
func (s *Store) each(typeURL string, f func(name string, h held, denied bool)) {
	switch typeURL {
	case xds.ClusterType:
		for n, e := range s.clusters {
			if !e.static && !e.removed {
				f(n, e.held, false)
			}
		}
	case xds.EndpointType:
		for n, e := range s.endpoints {
			if e.body != nil {
				f(n, e.held, false)
			}
		}
	case xds.RouteType:
		for n, e := range s.routes {
			if e.body != nil && !e.static {
				f(n, e.held, e.denied)
			}
		}
	case xds.ListenerType:
		for n, e := range s.listeners {
			if e.body != nil && !e.static {
				f(n, e.held, e.denied)
			}
		}
	case xds.SecretType:
		for n, e := range s.secrets {
			if !e.static {
				f(n, e.held, false)
			}
		}
	}
}

// changed tells the owner, unlocked.
func (s *Store) changed() {
	if s.o.OnChange != nil {
		s.o.OnChange()
	}
}

// Close closes clusters and stops timers; listeners are their owner's.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.dirty {
		s.write()
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for _, e := range s.listeners {
		discard(e)
	}
	for _, e := range s.clusters {
		if e.c != nil {
			e.c.Close()
		}
		if e.prev != nil {
			e.prev.Close()
		}
	}
}
