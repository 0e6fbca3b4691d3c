package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// retryListener is how often an address that could not be had is tried again.
const retryListener = time.Second

// settle puts in force what waits no longer, and gives the listeners that could not be
// bound. If that finds a fault in us, which is told under the name "", what was in force
// stays, and it is tried again.
func (s *Store) settle() map[string]string {
	failed, err := s.advance(time.Now())
	if err != nil {
		s.wake(retryListener)
		return map[string]string{"": err.Error()}
	}
	return failed
}

// advance puts in force whatever waits no longer: clusters that know their
// endpoints, then routes whose clusters do, then listeners whose routes, clusters
// and filters are ready. Nothing waits longer than WarmFor.
func (s *Store) advance(now time.Time) (failed map[string]string, err error) {
	defer s.contain("", "", &err)
	s.supersede(now)
	for _, e := range s.routes {
		if e.pending && (s.warm(e.refs.clusters) || e.overdue(now, s.patience(e.refs))) {
			e.enter()
		}
	}
	ready := map[string]*entry[Prepared]{}
	for n, e := range s.listeners {
		if e.pending && ((s.filtersWarm() && s.warm(e.refs.clusters) && s.haveRoutes(e.refs.routes)) || e.overdue(now, s.patience(e.refs))) {
			ready[n] = e
		}
	}
	s.sweep(now)
	s.rejudge = s.publish() || s.rejudge
	failed = s.listen(ready)
	if s.rejudge {
		s.o.Listeners.Rejudge()
		s.rejudge = false
	}
	for _, c := range s.retired {
		c.Close()
	}
	s.retired = nil
	s.want()
	s.arm(now)
	return failed, nil
}

// enter notes that next is in force.
func (e *entry[T]) enter() {
	var none T
	e.active, e.used, e.next, e.shown = e.next, e.refs, none, e.held
	e.live, e.pending, e.failed = true, false, false
}

func (e *entry[T]) overdue(now time.Time, limit time.Duration) bool { return now.Sub(e.since) >= limit }

// patience is how long what has these references waits for them: WarmFor, and as long as a
// server that they come from may take for its first word.
func (s *Store) patience(r refs) time.Duration {
	p := s.o.WarmFor
	wait := func(from origin.Source) {
		switch {
		case from.Cluster == "":
		case from.Within == 0:
			p = math.MaxInt64
		default:
			p = max(p, from.Within)
		}
	}
	for k := range r.routes {
		wait(origin.Parse(k).Source)
	}
	for n := range r.clusters {
		if e := s.clusters[n]; e != nil && e.c != nil {
			wait(e.c.EDS.Source)
		}
	}
	return p
}

// warm tells whether those of the clusters that exist know their endpoints, and have
// checked them.
func (s *Store) warm(names set) bool {
	for n := range names {
		e := s.clusters[n]
		if e == nil || e.c == nil {
			continue
		}
		if e.c.EDS.Name != "" && s.endpoints[e.c.EDS.Key()] == nil && !s.givenUp[xds.EndpointType][e.c.EDS.Key()] || e.prev == nil && !e.c.Warm() {
			return false
		}
	}
	return true
}

func (s *Store) filtersWarm() bool { return s.o.Warm == nil || s.o.Warm() }

func (s *Store) haveRoutes(names set) bool {
	for n := range names {
		if e := s.routes[n]; (e == nil || !e.live) && !s.givenUp[xds.RouteType][n] {
			return false
		}
	}
	return true
}

// listen swaps listeners in, in the order of their names.
func (s *Store) listen(ready map[string]*entry[Prepared]) map[string]string {
	failed := map[string]string{}
	for _, n := range slices.Sorted(maps.Keys(ready)) {
		e := ready[n]
		if err := s.apply(n, e.next); err != nil {
			failed[n] = err.Error()
			s.reject(xds.ListenerType, n, err.Error())
			s.o.Log.Error("listener refused", "name", n, "error", err)
			e.failed = true
			continue
		}
		if e.failed {
			s.reject(xds.ListenerType, n, "")
		}
		e.enter()
	}
	return failed
}

func (s *Store) apply(name string, p Prepared) (err error) {
	defer s.contain(xds.ListenerType, name, &err)
	return p.Apply()
}

// sweep drops removed clusters that nothing in force names any more, or that have
// lingered for long enough.
func (s *Store) sweep(now time.Time) {
	used := set{}
	for _, e := range s.routes {
		maps.Copy(used, e.refs.clusters)
		maps.Copy(used, e.used.clusters)
	}
	for _, e := range s.listeners {
		maps.Copy(used, e.refs.clusters)
		maps.Copy(used, e.used.clusters)
	}
	for n, e := range s.clusters {
		if e.removed && (!used[n] || now.Sub(e.since) >= s.o.WarmFor) {
			if e.c != nil {
				s.retire(e.c)
			}
			if e.prev != nil {
				s.retire(e.prev)
			}
			delete(s.clusters, n)
		}
	}
}

// publish puts routes, clusters and secrets in force, and tells whether one of those
// that decide who is let in has changed: routes or secrets.
func (s *Store) publish() (changed bool) {
	next := &snapshot.Snapshot{
		Routes:   make(map[string]*route.Table, len(s.routes)),
		Clusters: make(map[string]*upstream.Cluster, len(s.clusters)),
	}
	for n, e := range s.routes {
		if e.live {
			next.Routes[n] = e.active
		}
	}
	for n, e := range s.clusters {
		if e.c != nil {
			next.Clusters[n] = e.serving()
		}
	}
	changed = !maps.Equal(s.snapshot.Swap(next).Routes, next.Routes)
	secrets := maps.Clone(s.secrets)
	return !maps.Equal(*s.served.Swap(&secrets), secrets) || changed
}

// want works out the subscriptions, and forgets what nothing names any more.
func (s *Store) want() {
	eds, rds, sds := set{}, set{}, set{}
	for _, e := range s.clusters {
		if e.c != nil && !e.removed {
			eds.add(e.c.EDS.Key())
		}
		maps.Copy(sds, e.refs.secrets)
	}
	for _, e := range s.listeners {
		maps.Copy(rds, e.refs.routes)
		maps.Copy(sds, e.refs.secrets)
	}
	s.wanted = map[string]set{xds.EndpointType: eds, xds.RouteType: rds, xds.SecretType: sds}
	if s.staleOwners {
		s.own()
		s.staleOwners = false
	}
	maps.DeleteFunc(s.endpoints, func(n string, _ *endpointsEntry) bool { return !eds[n] })
	maps.DeleteFunc(s.routes, func(n string, _ *entry[*route.Table]) bool { return !rds[n] })
	maps.DeleteFunc(s.secrets, func(n string, e *secretEntry) bool { return !e.static && !sds[n] })
	maps.DeleteFunc(s.rotating, func(n string, _ *rotating) bool { return !sds[n] })
	for t, names := range s.wanted {
		maps.DeleteFunc(s.rejected[t], func(n string, _ refused) bool { return !names[n] })
		maps.DeleteFunc(s.givenUp[t], func(n string, _ bool) bool { return !names[n] })
	}
}

// arm sets the timer for what waits.
func (s *Store) arm(now time.Time) {
	var at time.Time
	due := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, e := range s.routes {
		if e.pending {
			due(e.since.Add(s.patience(e.refs)))
		}
	}
	for _, e := range s.listeners {
		switch {
		case e.failed:
			due(now.Add(retryListener))
		case e.pending:
			due(e.since.Add(s.patience(e.refs)))
		}
	}
	for _, e := range s.clusters {
		if e.removed || e.prev != nil {
			due(e.since.Add(s.o.WarmFor))
		}
	}
	if s.dirty {
		due(now.Add(endpointsLag))
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !at.IsZero() {
		s.wake(max(at.Sub(now), time.Millisecond))
	}
}

// wake sets the timer.
func (s *Store) wake(in time.Duration) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(in, s.tick)
}

func (s *Store) tick() {
	s.mu.Lock()
	defer s.changed()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.dirty {
		s.write()
	}
	s.settle()
}

// Recheck puts in force what waits no longer.
func (s *Store) Recheck() { s.tick() }

// Ready tells whether the proxy can serve: it was told its clusters and listeners,
// by the control plane or by the copy on disk, and no first version waits.
func (s *Store) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.cached && !(s.seen[xds.ClusterType] && s.seen[xds.ListenerType]) {
		return false
	}
	for _, e := range s.listeners {
		if !e.live && !e.failed {
			return false
		}
	}
	return true
}

// maxRefusal bounds what Refused gives, in bytes.
const maxRefusal = 512

// Refused tells why a listener that the control plane wants does not serve: its
// last version is refused, and there is no good one or that must deny. "" if all
// serve.
func (s *Store) Refused() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := s.rejected[xds.ListenerType]
	for _, n := range slices.Sorted(maps.Keys(bad)) {
		if e := s.listeners[n]; e == nil || e.denied || !e.live {
			why := fmt.Sprintf("listener %s is refused: %s", n, bad[n].why)
			return strings.ToValidUTF8(why[:min(len(why), maxRefusal)], "")
		}
	}
	return ""
}

// RecycleOwn lets connections that show the proxy's own certificate be made anew:
// for when it changed.
func (s *Store) RecycleOwn() {
	for n, c := range s.Snapshot().Clusters {
		if n != sidecar.XDSCluster {
			c.Recycle()
		}
	}
}
