package config

import (
	"maps"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// updates are Envoy's statistics of one subscription.
type updates struct {
	Attempt  counters.Counter `stat:"update_attempt"`
	Success  counters.Counter `stat:"update_success"`
	Rejected counters.Counter `stat:"update_rejected"`
	Failure  counters.Counter `stat:"update_failure"`
	Timeout  counters.Counter `stat:"init_fetch_timeout"`
}

func (u *updates) count(e xds.Event) {
	map[xds.Event]*counters.Counter{xds.Attempt: &u.Attempt, xds.Success: &u.Success, xds.Rejected: &u.Rejected, xds.Failure: &u.Failure, xds.Timeout: &u.Timeout}[e].Inc()
}

// owner is whose statistics those of a subscription are.
type owner struct {
	scope counters.Scope
	of    string
}

var (
	ofClusters  = owner{counters.Scope{Prefix: "cluster_manager."}, "cds"}
	ofListeners = owner{counters.Scope{Prefix: "listener_manager."}, "lds"}
)

// ofRoutes are a connection manager's of one table of routes.
func ofRoutes(manager, name string) owner {
	return owner{counters.Scope{Prefix: "http." + manager + ".rds.", Label: "envoy_rds_route_config"}, name}
}

func ofSecret(name string) owner {
	return owner{counters.Scope{Prefix: "sds.", Label: "envoy_xds_resource_name"}, name}
}

// owners are those of each subscription, by type and key.
type owners map[string]map[string]map[owner]bool

func (o owners) add(typeURL, key string, of owner) {
	if key == "" {
		return
	}
	if o[typeURL] == nil {
		o[typeURL] = map[string]map[owner]bool{}
	}
	if o[typeURL][key] == nil {
		o[typeURL][key] = map[owner]bool{}
	}
	o[typeURL][key][of] = true
}

// all gives each once.
func (o owners) all() map[owner]bool {
	out := map[owner]bool{}
	for _, keys := range o {
		for _, of := range keys {
			maps.Copy(out, of)
		}
	}
	return out
}

// own works out whose statistics there are. They are kept as long as there is a
// subscription.
func (s *Store) own() {
	next := owners{}
	for t, of := range map[string]owner{xds.ClusterType: ofClusters, xds.ListenerType: ofListeners} {
		if _, ok := s.lists[t]; ok {
			next.add(t, xds.Wildcard, of)
		}
	}
	for _, e := range s.clusters {
		if e.c != nil && !e.removed && e.c.EDS.Name != "" {
			next.add(xds.EndpointType, e.c.EDS.Key(), owner{counters.Cluster, e.c.StatName()})
		}
	}
	for _, e := range s.listeners {
		for key, managers := range e.refs.managers {
			for m := range managers {
				next.add(xds.RouteType, key, ofRoutes(m, origin.Parse(key).Name))
			}
		}
	}
	for key := range s.wanted[xds.SecretType] {
		next.add(xds.SecretType, key, ofSecret(origin.Parse(key).Name))
	}
	before, now := s.owners.all(), next.all()
	for of := range now {
		if !before[of] {
			s.o.Counters.Hold(of.scope, of.of)
			counters.Group[updates](s.o.Counters, of.scope, of.of)
		}
	}
	for of := range before {
		if !now[of] {
			s.o.Counters.Release(of.scope, of.of)
		}
	}
	s.owners = next
}

// Count counts what happened to what is wanted over ADS.
func (s *Store) Count(typeURL string, e xds.Event, names ...string) {
	s.count(origin.ADS, typeURL, e, names)
}

func (s *Store) count(source origin.Source, typeURL string, e xds.Event, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		s.tally(typeURL, e, keyOf(source, typeURL, n))
	}
}

func (s *Store) tally(typeURL string, e xds.Event, key string) {
	for of := range s.owners[typeURL][key] {
		counters.Group[updates](s.o.Counters, of.scope, of.of).count(e)
	}
}
