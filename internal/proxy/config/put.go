package config

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

func (s *Store) putCluster(r xds.Resource, static bool) error {
	old := s.clusters[r.Name]
	if old != nil && !old.removed && same(old.body, r.Body) {
		old.version = r.Version
		return nil
	}
	m, err := s.decodeCluster(r)
	if err != nil {
		return err
	}
	e := &clusterEntry{held: hold(r), refs: newRefs(), static: static, since: time.Now()}
	e.refs.cluster(m)
	s.bind(m)
	if e.c, err = s.o.Cluster(m); err != nil {
		return err
	}
	if err := s.reachable(append(e.refs.sources(), e.c.EDS.Source)...); err != nil {
		e.c.Close()
		return err
	}
	if e.c.EDS.Name != "" {
		if err := s.giveEndpoints(e.c); err != nil {
			s.o.Log.Warn("endpoints refused", "cluster", r.Name, "error", err)
		}
	}
	if old != nil && old.c != nil {
		if e.prev = old.serving(); e.prev != old.c {
			s.retire(old.c)
		}
	}
	s.clusters[r.Name] = e
	return nil
}

// serving is what requests go to: the version before, if there is one.
func (e *clusterEntry) serving() *upstream.Cluster {
	if e.prev != nil {
		return e.prev
	}
	return e.c
}

// supersede lets versions go whose successors have checked their endpoints.
func (s *Store) supersede(now time.Time) {
	for _, e := range s.clusters {
		if e.prev != nil && (e.c.Warm() || now.Sub(e.since) >= s.o.WarmFor) {
			s.retire(e.prev)
			e.prev = nil
		}
	}
}

// bind gives a cluster the proxy's own source address, unless it names one.
func (s *Store) bind(m *clusterv3.Cluster) {
	if s.o.Source.IsValid() && m.GetUpstreamBindConfig() == nil {
		m.UpstreamBindConfig = &corev3.BindConfig{SourceAddress: &corev3.SocketAddress{
			Address:       s.o.Source.String(),
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
		}}
	}
}

// giveEndpoints sets the endpoints that are held for the cluster, if any.
func (s *Store) giveEndpoints(c *upstream.Cluster) error {
	e := s.endpoints[c.EDS.Key()]
	if e == nil {
		return nil
	}
	m := &endpointv3.ClusterLoadAssignment{ClusterName: c.EDS.Name}
	if e.body != nil {
		var err error
		if m, err = s.decodeEndpoints(xds.Resource{Name: c.EDS.Name, Body: e.body}); err != nil {
			return err
		}
	}
	return c.SetEndpoints(m)
}

func (s *Store) putEndpoints(key string, r xds.Resource) error {
	if old := s.endpoints[key]; old != nil && old.body != nil && same(old.body, r.Body) {
		old.version = r.Version
		return nil
	}
	m, err := s.decodeEndpoints(r)
	if err == nil {
		err = strict.Validate(m)
	}
	if err != nil {
		return err
	}
	for _, c := range s.clusters {
		if c.c != nil && c.c.EDS.Key() == key {
			if err := c.c.SetEndpoints(m); err != nil {
				return err
			}
		}
	}
	s.endpoints[key] = &endpointsEntry{hold(r)}
	return nil
}

// noEndpoints notes that there are no endpoints of that name.
func (s *Store) noEndpoints(key string) {
	s.endpoints[key] = &endpointsEntry{}
	for _, c := range s.clusters {
		if c.c != nil && c.c.EDS.Key() == key {
			if err := s.giveEndpoints(c.c); err != nil {
				s.o.Log.Warn("endpoints refused", "cluster", c.c.Name, "error", err)
			}
		}
	}
}

func (s *Store) putRoute(key string, r xds.Resource) error {
	e := s.routes[key]
	if e == nil {
		e = &entry[*route.Table]{}
		s.routes[key] = e
	}
	if e.body != nil && !e.denied && same(e.body, r.Body) {
		e.version = r.Version
		return nil
	}
	m, err := s.decodeRoute(r)
	undecodable := err != nil
	if err == nil {
		var t *route.Table
		err = func() (err error) {
			defer s.contain(xds.RouteType, r.Name, &err)
			t, err = s.o.Route(m)
			return err
		}()
		if err == nil {
			rf := newRefs()
			rf.route(m)
			e.good(r, guardOfRoute(m), rf, t)
			return nil
		}
	}
	// Of one that cannot be decoded nobody knows what it would guard: deny too.
	if undecodable || e.body == nil || guardOfRoute(m) != e.guard {
		t, denyErr := s.o.Route(denyRoute(r.Name))
		if denyErr != nil {
			return strict.At("deny", denyErr)
		}
		e.deny(t)
	}
	return err
}

func (s *Store) putListener(r xds.Resource) error {
	e := s.listeners[r.Name]
	if e == nil {
		e = &entry[Prepared]{}
		s.listeners[r.Name] = e
	}
	if e.body != nil && !e.denied && !e.failed && same(e.body, r.Body) {
		e.version = r.Version
		return nil
	}
	m, err := s.decodeListener(r)
	if err == nil {
		var p Prepared
		rf := newRefs()
		rf.listener(m)
		err = func() (err error) {
			defer s.contain(xds.ListenerType, r.Name, &err)
			if p, err = s.o.Listeners.Compile(m); err != nil {
				return err
			}
			if err = s.reachable(rf.sources()...); err != nil {
				p.Close()
			}
			return err
		}()
		if err == nil {
			discard(e)
			e.good(r, guardOfListener(m), rf, p)
			return nil
		}
	}
	if e.body == nil {
		delete(s.listeners, r.Name) // no listener is no way in
	} else if guardOfListener(m) != e.guard {
		s.denyHeld(r.Name, e)
	}
	return err
}

// denyHeld makes the last good version of a listener deny; if that fails, the
// listener goes.
func (s *Store) denyHeld(name string, e *entry[Prepared]) {
	last := new(listenerv3.Listener)
	err := strict.Unpack(e.body, last)
	if err == nil {
		last, err = denyListener(last)
	}
	if err == nil {
		var p Prepared
		if p, err = s.o.Listeners.Compile(last); err == nil {
			discard(e)
			e.deny(p)
			s.o.Log.Error("listener denies: a bad version of it would change who may pass", "name", name)
			return
		}
	}
	s.o.Log.Error("listener closed: a bad version of it would change who may pass", "name", name, "error", err)
	discard(e)
	delete(s.listeners, name)
	s.o.Listeners.Remove(name)
}

// discard lets go of a version that was never put in force, as another takes its place.
func discard(e *entry[Prepared]) {
	if e.pending {
		e.next.Close()
	}
}

func (e *entry[T]) good(r xds.Resource, g guard, rf refs, next T) {
	e.held, e.guard, e.refs = hold(r), g, rf
	e.next, e.pending, e.denied, e.failed, e.since = next, true, false, false, time.Now()
}

// deny puts next in force at once: a denial waits for nothing.
func (e *entry[T]) deny(next T) {
	e.next, e.pending, e.denied, e.failed, e.since = next, true, true, false, time.Time{}
}

func (s *Store) retire(c *upstream.Cluster) { s.retired = append(s.retired, c) }
