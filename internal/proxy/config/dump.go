package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// Dump is what is held, as Envoy's /config_dump tells it. Keys, inline secrets and key
// sets are redacted. A resource whose last version was refused says why in error_state.
type Dump struct {
	Clusters  *adminv3.ClustersConfigDump
	Endpoints *adminv3.EndpointsConfigDump
	Listeners *adminv3.ListenersConfigDump
	Routes    *adminv3.RoutesConfigDump
	Secrets   *adminv3.SecretsConfigDump
}

// Dump gives all resources, by name.
func (s *Store) Dump() *Dump {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Dump{s.dumpClusters(), s.dumpEndpoints(), s.dumpListeners(), s.dumpRoutes(), s.dumpSecrets()}
}

func (s *Store) dumpClusters() *adminv3.ClustersConfigDump {
	d := &adminv3.ClustersConfigDump{VersionInfo: s.version(xds.ClusterType)}
	for _, n := range s.names(xds.ClusterType, keys(s.clusters)) {
		e := s.clusters[n]
		switch {
		case e == nil:
			d.DynamicActiveClusters = append(d.DynamicActiveClusters, &adminv3.ClustersConfigDump_DynamicCluster{
				Cluster: show(toAny(&clusterv3.Cluster{Name: n})), ErrorState: s.failure(xds.ClusterType, n, false)})
		case e.static:
			d.StaticClusters = append(d.StaticClusters, &adminv3.ClustersConfigDump_StaticCluster{Cluster: show(e.body), LastUpdated: e.time()})
		default:
			c := &adminv3.ClustersConfigDump_DynamicCluster{VersionInfo: e.version, Cluster: show(e.body), LastUpdated: e.time(), ErrorState: s.failure(xds.ClusterType, n, false)}
			if s.warm(set{n: true}) {
				d.DynamicActiveClusters = append(d.DynamicActiveClusters, c)
			} else {
				d.DynamicWarmingClusters = append(d.DynamicWarmingClusters, c)
			}
		}
	}
	return d
}

// dumpEndpoints tells what the clusters balance over, not what was sent.
func (s *Store) dumpEndpoints() *adminv3.EndpointsConfigDump {
	d := &adminv3.EndpointsConfigDump{}
	for _, n := range keys(s.clusters) {
		c := s.clusters[n].c
		switch {
		case c == nil:
		case c.EDS.Name == "":
			d.StaticEndpointConfigs = append(d.StaticEndpointConfigs, &adminv3.EndpointsConfigDump_StaticEndpointConfig{EndpointConfig: toAny(c.Endpoints())})
		case s.endpoints[c.EDS.Key()] != nil:
			e := s.endpoints[c.EDS.Key()]
			d.DynamicEndpointConfigs = append(d.DynamicEndpointConfigs, &adminv3.EndpointsConfigDump_DynamicEndpointConfig{
				VersionInfo: e.version, EndpointConfig: toAny(c.Endpoints()), LastUpdated: e.time(), ErrorState: s.failure(xds.EndpointType, c.EDS.Key(), false)})
		}
	}
	for _, n := range keys(s.rejected[xds.EndpointType]) {
		if s.endpoints[n] == nil {
			d.DynamicEndpointConfigs = append(d.DynamicEndpointConfigs, &adminv3.EndpointsConfigDump_DynamicEndpointConfig{
				EndpointConfig: toAny(&endpointv3.ClusterLoadAssignment{ClusterName: origin.Parse(n).Name}), ErrorState: s.failure(xds.EndpointType, n, false)})
		}
	}
	return d
}

func (s *Store) dumpListeners() *adminv3.ListenersConfigDump {
	d := &adminv3.ListenersConfigDump{VersionInfo: s.version(xds.ListenerType)}
	state := func(h held) *adminv3.ListenersConfigDump_DynamicListenerState {
		return &adminv3.ListenersConfigDump_DynamicListenerState{VersionInfo: h.version, Listener: show(h.body), LastUpdated: h.time()}
	}
	for _, n := range s.names(xds.ListenerType, keys(s.listeners)) {
		e := s.listeners[n]
		if e != nil && e.static {
			d.StaticListeners = append(d.StaticListeners, &adminv3.ListenersConfigDump_StaticListener{Listener: show(e.body), LastUpdated: e.time()})
			continue
		}
		l := &adminv3.ListenersConfigDump_DynamicListener{Name: n}
		if e != nil {
			if e.live {
				l.ActiveState = state(e.shown)
			}
			if e.pending {
				l.WarmingState = state(e.held)
			}
		}
		l.ErrorState = s.failure(xds.ListenerType, n, e != nil && e.denied)
		d.DynamicListeners = append(d.DynamicListeners, l)
	}
	return d
}

func (s *Store) dumpRoutes() *adminv3.RoutesConfigDump {
	d := &adminv3.RoutesConfigDump{}
	for _, n := range s.names(xds.RouteType, keys(s.routes)) {
		c := &adminv3.RoutesConfigDump_DynamicRouteConfig{}
		e := s.routes[n]
		if e != nil && e.body != nil {
			c.VersionInfo, c.RouteConfig, c.LastUpdated = e.version, show(e.body), e.time()
		} else {
			c.RouteConfig = toAny(&routev3.RouteConfiguration{Name: origin.Parse(n).Name})
		}
		c.ErrorState = s.failure(xds.RouteType, n, e != nil && e.denied)
		d.DynamicRouteConfigs = append(d.DynamicRouteConfigs, c)
	}
	for _, n := range keys(s.listeners) {
		e := s.listeners[n]
		m := new(listenerv3.Listener)
		if strict.Unpack(e.body, m) != nil {
			continue
		}
		for _, chain := range chains(m) {
			for _, f := range chain.GetFilters() {
				if t := manager(f).GetRouteConfig(); t != nil {
					d.StaticRouteConfigs = append(d.StaticRouteConfigs, &adminv3.RoutesConfigDump_StaticRouteConfig{RouteConfig: show(toAny(t)), LastUpdated: e.time()})
				}
			}
		}
	}
	return d
}

func (s *Store) dumpSecrets() *adminv3.SecretsConfigDump {
	d := &adminv3.SecretsConfigDump{}
	for _, n := range s.names(xds.SecretType, keys(s.secrets)) {
		x := &adminv3.SecretsConfigDump_DynamicSecret{Name: origin.Parse(n).Name, ErrorState: s.failure(xds.SecretType, n, false)}
		if e := s.secrets[n]; e != nil && e.static {
			d.StaticSecrets = append(d.StaticSecrets, &adminv3.SecretsConfigDump_StaticSecret{Name: s.secret(n).GetName(), LastUpdated: e.time(), Secret: show(e.body)})
		} else if e != nil {
			x.VersionInfo, x.LastUpdated, x.Secret = e.version, e.time(), show(e.body)
			d.DynamicActiveSecrets = append(d.DynamicActiveSecrets, x)
		} else {
			d.DynamicWarmingSecrets = append(d.DynamicWarmingSecrets, x)
		}
	}
	for _, k := range []string{proxytls.OwnCertificate, proxytls.OwnRoots} {
		if m := s.secret(k); m != nil {
			d.DynamicActiveSecrets = append(d.DynamicActiveSecrets, &adminv3.SecretsConfigDump_DynamicSecret{Name: m.GetName(), Secret: show(toAny(m))})
		}
	}
	return d
}

// failure tells why the last version of a resource is not in force, nil if it is. What
// denies says so: that is more than going on with the last good version.
func (s *Store) failure(typeURL, key string, denied bool) *adminv3.UpdateFailureState {
	r, ok := s.rejected[typeURL][key]
	switch {
	case denied && !ok: // the version was refused before a restart
		return &adminv3.UpdateFailureState{Details: deniesAll + "a version that was refused would change who may pass"}
	case !ok:
		return nil
	case denied:
		r.why = deniesAll + r.why
	}
	return &adminv3.UpdateFailureState{Details: r.why, LastUpdateAttempt: timestamppb.New(r.at)}
}

const deniesAll = "everything is denied: "

// version is the one that all resources of a type have, "" if they have their own.
func (s *Store) version(typeURL string) (version string) {
	first := true
	s.each(typeURL, func(_ string, h held, _ bool) {
		if first {
			version, first = h.version, false
		} else if version != h.version {
			version = ""
		}
	})
	return version
}

// names gives the keys of those held and those refused, in order.
func (s *Store) names(typeURL string, held []string) []string {
	all := append(held, keys(s.rejected[typeURL])...)
	slices.Sort(all)
	return slices.Compact(all)
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (h held) time() *timestamppb.Timestamp { return timestamppb.New(h.updated) }

func toAny(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		return nil // text that is no UTF-8; nothing else fails
	}
	return a
}

// Digest names the configuration that the bootstrap does not hold: equal for equal resources of
// equal versions.
func (s *Store) Digest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := sha256.New()
	for _, t := range xds.Types() {
		v := map[string]string{}
		s.each(t, func(n string, e held, denied bool) { v[n] = fmt.Sprint(e.version, denied) })
		for _, n := range keys(v) {
			fmt.Fprintf(h, "%s\x00%s\x00%s\x00", t, n, v[n])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Rejected counts the resources whose last version is refused.
func (s *Store) Rejected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, m := range s.rejected {
		n += len(m)
	}
	return n
}

// Unready names what a listener that waits waits for, by listener.
func (s *Store) Unready() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]string{}
	for n, e := range s.listeners {
		if !e.pending {
			continue
		}
		var why []string
		for r := range e.refs.routes {
			if t := s.routes[r]; t == nil || !t.live {
				why = append(why, "RdsRouteConfigSubscription "+origin.Parse(r).Name)
			}
		}
		for c := range e.refs.clusters {
			if !s.warm(set{c: true}) {
				why = append(why, "Cluster "+c)
			}
		}
		if !s.filtersWarm() {
			why = append(why, "filters")
		}
		if e.failed {
			why = append(why, "address "+s.rejected[xds.ListenerType][n].why)
		}
		slices.Sort(why)
		out[n] = why
	}
	return out
}
