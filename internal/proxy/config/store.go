package config

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/origin"
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

	mu          sync.Mutex
	clusters    map[string]*clusterEntry
	endpoints   map[string]*endpointsEntry // by key (origin.Name), as routes and secrets
	routes      map[string]*entry[*route.Table]
	listeners   map[string]*entry[Prepared]
	secrets     map[string]*secretEntry
	rotating    map[string]*rotating
	lists       map[string]origin.Source      // where all clusters and all listeners come from, by type
	wanted      map[string]set                // keys of what is to be asked for, by type
	owners      owners                        // of statistics of what is wanted
	staleOwners bool                          // clusters or listeners have changed since owners were worked out
	rejected    map[string]map[string]refused // type -> key -> why the last version is not in force
	seen        set                           // types of which a response came
	servers     set                           // clusters of the bootstrap that sources may name
	givenUp     map[string]set                // keys, by type, that nothing waits for any more
	cached      bool                          // started from the copy on disk
	batch       bool                          // settle later: more comes at once
	closed      bool
	timer       *time.Timer // of what waits, and of endpoints to be kept
	dirty       bool        // endpoints are newer than the copy on disk
	rejudge     bool        // open connections do not know yet what is in force
	retired     []*upstream.Cluster
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
		secrets: map[string]*secretEntry{}, rotating: map[string]*rotating{}, wanted: map[string]set{}, servers: set{}, staleOwners: true, givenUp: map[string]set{}, rejected: map[string]map[string]refused{}, seen: set{},
	}
	s.lists = map[string]origin.Source{xds.ClusterType: origin.ADS, xds.ListenerType: origin.ADS}
	s.snapshot.Store(&snapshot.Snapshot{})
	s.served.Store(&map[string]*secretEntry{})
	return s
}

// Snapshot gives what requests are served by now.
func (s *Store) Snapshot() *snapshot.Snapshot { return s.snapshot.Load() }

// Apply puts the good resources of an update over ADS in force and tells why it refuses
// the others.
func (s *Store) Apply(u xds.Update) (rejected map[string]string) { return s.take(origin.ADS, u) }

func (s *Store) take(source origin.Source, u xds.Update) (rejected map[string]string) {
	s.mu.Lock()
	defer s.changed()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	rejected = map[string]string{}
	if list, ok := s.lists[u.Type]; lists(u.Type) && (!ok || list != source) {
		for _, r := range u.Resources {
			rejected[r.Name] = errNotAsked.Error()
		}
		return rejected
	}
	s.seen.add(u.Type)
	s.staleOwners = s.staleOwners || lists(u.Type)
	for _, r := range u.Resources {
		key := keyOf(source, u.Type, r.Name)
		if err := s.put(u.Type, key, r); err != nil {
			rejected[r.Name] = err.Error()
			s.o.Log.Warn("resource refused", "type", u.Type, "name", r.Name, "version", r.Version, "error", err)
		}
		s.reject(u.Type, key, rejected[r.Name])
	}
	for _, name := range u.Removed {
		why, key := "", keyOf(source, u.Type, name)
		if err := s.remove(u.Type, key, name); err != nil {
			why = err.Error()
			rejected[name] = why
		}
		s.reject(u.Type, key, why)
	}
	if u.All {
		there := set{}
		for _, r := range u.Resources {
			there.add(r.Name)
		}
		maps.DeleteFunc(s.rejected[u.Type], func(name string, _ refused) bool { return !there[name] })
	}
	if !s.batch {
		for name, why := range s.settle() {
			if u.Type == xds.ListenerType || name == "" {
				rejected[name] = why
			}
		}
		if source == origin.ADS {
			s.keep(u.Type)
		}
	}
	return rejected
}

var (
	errNotAsked = errors.New("nobody asked for it there")
	errZero     = errors.New("the name begins with a zero byte, as keys of other sources do")
)

// lists tells the types of which there is one source, that gives all of them.
func lists(typeURL string) bool { return typeURL == xds.ClusterType || typeURL == xds.ListenerType }

// keyOf gives the key of a resource; of clusters and listeners it is the name.
func keyOf(source origin.Source, typeURL, name string) string {
	if lists(typeURL) {
		return name
	}
	return origin.Name{Source: source, Name: name}.Key()
}

func (s *Store) put(typeURL, key string, r xds.Resource) (err error) {
	defer s.contain(typeURL, r.Name, &err)
	if strings.HasPrefix(r.Name, "\x00") {
		return errZero
	}
	if s.static(typeURL, key) {
		// As in Envoy, which does not call it an error: a mesh sends all proxies the clusters
		// that some have from their bootstrap.
		s.o.Log.Debug("the bootstrap has a resource of that name, which stays", "type", typeURL, "name", r.Name)
		return nil
	}
	switch typeURL {
	case xds.ClusterType:
		return s.putCluster(r, false)
	case xds.EndpointType:
		return s.putEndpoints(key, r)
	case xds.RouteType:
		return s.putRoute(key, r)
	case xds.ListenerType:
		return s.putListener(r)
	}
	return s.putSecret(key, r)
}

// static tells whether a resource is the bootstrap's, which nothing over xDS changes.
func (s *Store) static(typeURL, key string) bool {
	switch typeURL {
	case xds.ClusterType:
		e := s.clusters[key]
		return e != nil && e.static
	case xds.ListenerType:
		e := s.listeners[key]
		return e != nil && e.static
	case xds.SecretType:
		e := s.secrets[key]
		return e != nil && e.static
	}
	return false
}

func (s *Store) remove(typeURL, key, name string) (err error) {
	defer s.contain(typeURL, name, &err)
	if strings.HasPrefix(name, "\x00") {
		return errZero
	}
	if s.static(typeURL, key) {
		return nil
	}
	switch typeURL {
	case xds.ClusterType:
		if e := s.clusters[key]; e != nil {
			e.removed, e.since = true, time.Now()
		}
	case xds.EndpointType:
		s.noEndpoints(key)
	case xds.RouteType:
		delete(s.routes, key)
	case xds.ListenerType:
		if e := s.listeners[key]; e != nil {
			discard(e)
			delete(s.listeners, key)
			s.o.Listeners.Remove(key)
		}
	case xds.SecretType:
		delete(s.secrets, key)
		delete(s.rotating, key)
	}
	return nil
}

func (s *Store) reject(typeURL, key, why string) {
	m := s.rejected[typeURL]
	switch {
	case why == "":
		delete(m, key)
	case m == nil:
		s.rejected[typeURL] = map[string]refused{key: {why, time.Now()}}
	default:
		m[key] = refused{why, time.Now()}
	}
}

// refused is a version that is not in force.
type refused struct {
	why string
	at  time.Time
}

// Wanted gives the names to subscribe to over ADS: all clusters and listeners, and by name
// what those refer to.
func (s *Store) Wanted(typeURL string) []string { return s.wants(origin.ADS, typeURL) }

// Versions gives the version of each resource that is held and came over ADS.
func (s *Store) Versions(typeURL string) map[string]string { return s.versions(origin.ADS, typeURL) }

// of gives the last good version of every resource that came from a source, by name.
func (s *Store) of(source origin.Source, typeURL string, f func(name string, h held, denied bool)) {
	s.each(typeURL, func(key string, h held, denied bool) {
		n := origin.Name{Source: s.lists[typeURL], Name: key}
		if !lists(typeURL) {
			n = origin.Parse(key)
		}
		if n.Source == source {
			f(n.Name, h, denied)
		}
	})
}

// each gives the last good version of every resource that the bootstrap does not hold, by
// key.
func (s *Store) each(typeURL string, f func(key string, h held, denied bool)) {
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
