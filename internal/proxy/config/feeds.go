package config

import (
	"slices"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// Feeds gives what is wanted from elsewhere than ADS, in the order of asking. Listeners are
// not asked for before the clusters are known, as in Envoy.
func (s *Store) Feeds() (out []xds.Feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range xds.Types() {
		from := map[origin.Source]bool{}
		for key := range s.wanted[t] {
			from[origin.Parse(key).Source] = true
		}
		if list, ok := s.lists[t]; ok && lists(t) && (t != xds.ListenerType || s.seen[xds.ClusterType]) {
			from[list] = true
		}
		for source := range from {
			if source != origin.ADS {
				out = append(out, xds.Feed{Source: source, Type: t})
			}
		}
	}
	return out
}

// From gives the sink of what comes from a source.
func (s *Store) From(source origin.Source) xds.FeedSink { return view{s, source} }

// view is the store as one source sees it.
type view struct {
	s      *Store
	source origin.Source
}

func (v view) Wanted(typeURL string) []string            { return v.s.wants(v.source, typeURL) }
func (v view) Versions(typeURL string) map[string]string { return v.s.versions(v.source, typeURL) }
func (v view) Apply(u xds.Update) map[string]string      { return v.s.take(v.source, u) }
func (v view) Count(typeURL string, e xds.Event, names ...string) {
	v.s.count(v.source, typeURL, e, names)
}
func (v view) Late(typeURL, name string) { v.s.giveUp(v.source, typeURL, []string{name}, true) }
func (v view) GiveUp(typeURL string, names ...string) {
	v.s.giveUp(v.source, typeURL, names, false)
}

func (v view) Watches(typeURL string) []xds.Watch      { return v.s.watches(v.source, typeURL) }
func (v view) Reread(typeURL string) map[string]string { return v.s.reread(v.source, typeURL) }

func (s *Store) wants(source origin.Source, typeURL string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lists(typeURL) {
		if list, ok := s.lists[typeURL]; ok && list == source {
			return []string{xds.Wildcard}
		}
		return nil
	}
	for key := range s.wanted[typeURL] {
		if n := origin.Parse(key); n.Source == source {
			out = append(out, n.Name)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Store) versions(source origin.Source, typeURL string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	s.of(source, typeURL, func(name string, h held, _ bool) { out[name] = h.version })
	return out
}

// giveUp has nothing wait for these resources any longer; Wildcard are all. If they are late,
// that is counted.
func (s *Store) giveUp(source origin.Source, typeURL string, names []string, late bool) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	given := s.givenUp[typeURL]
	if given == nil {
		given = set{}
		s.givenUp[typeURL] = given
	}
	more := false
	for _, n := range names {
		key := keyOf(source, typeURL, n)
		if given[key] || s.come(typeURL, key) {
			continue
		}
		more = true
		given.add(key)
		if lists(typeURL) {
			s.seen.add(typeURL)
		}
		if late {
			s.tally(typeURL, xds.Timeout, key)
			s.tally(typeURL, xds.Attempt, key)
		}
	}
	if more {
		s.settle()
	}
	s.mu.Unlock()
	if more {
		s.changed()
	}
}

// come tells whether there is a resource, or it is known that there is none.
func (s *Store) come(typeURL, key string) bool {
	switch typeURL {
	case xds.ClusterType, xds.ListenerType:
		return s.seen[typeURL]
	case xds.EndpointType:
		return s.endpoints[key] != nil
	case xds.RouteType:
		e := s.routes[key]
		return e != nil && (e.live || e.pending)
	case xds.SecretType:
		return s.secrets[key] != nil
	}
	return false
}
