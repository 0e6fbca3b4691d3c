package config

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	ppv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
)

// set is a set of names, or of keys (origin.Name).
type set map[string]bool

func (s set) add(names ...string) {
	for _, n := range names {
		if n != "" {
			s[n] = true
		}
	}
}

// refs are the resources that another one names: clusters, and keys of the others.
type refs struct {
	clusters, routes, secrets set
	managers                  map[string]set // key of routes -> whose they are, by stat_prefix
}

func newRefs() refs { return refs{set{}, set{}, set{}, map[string]set{}} }

// reachable refuses sources of which there is no server, as Envoy does: only clusters of the
// bootstrap are there before anything else is.
func (s *Store) reachable(all ...origin.Source) error {
	for _, source := range all {
		if source.Cluster != "" && !s.servers[source.Cluster] {
			return strict.Errorf("api_config_source.grpc_services[0].envoy_grpc.cluster_name", "%q is no cluster of static_resources, or is one whose endpoints come from elsewhere", source.Cluster)
		}
	}
	return nil
}

// sources gives where routes and secrets come from.
func (r refs) sources() (out []origin.Source) {
	for _, keys := range []set{r.routes, r.secrets} {
		for k := range keys {
			out = append(out, origin.Parse(k).Source)
		}
	}
	return out
}

func (r refs) route(m *routev3.RouteConfiguration) {
	mirrors := m.GetRequestMirrorPolicies()
	for _, v := range m.GetVirtualHosts() {
		mirrors = append(mirrors[:len(mirrors):len(mirrors)], v.GetRequestMirrorPolicies()...)
		for _, rt := range v.GetRoutes() {
			a := rt.GetRoute()
			r.clusters.add(a.GetCluster())
			for _, w := range a.GetWeightedClusters().GetClusters() {
				r.clusters.add(w.GetName())
			}
			mirrors = append(mirrors[:len(mirrors):len(mirrors)], a.GetRequestMirrorPolicies()...)
		}
	}
	for _, p := range mirrors {
		r.clusters.add(p.GetCluster())
	}
}

func (r refs) listener(m *listenerv3.Listener) {
	for _, c := range chains(m) {
		r.socket(c.GetTransportSocket())
		for _, f := range c.GetFilters() {
			if h := manager(f); h != nil {
				if k := key(h.GetRds().GetConfigSource(), h.GetRds().GetRouteConfigName()); k != "" {
					r.routes.add(k)
					if r.managers[k] == nil {
						r.managers[k] = set{}
					}
					r.managers[k].add(h.GetStatPrefix())
				}
				r.route(h.GetRouteConfig())
				continue
			}
			t := new(tcpv3.TcpProxy)
			if f.GetTypedConfig().MessageIs(t) && f.GetTypedConfig().UnmarshalTo(t) == nil {
				r.clusters.add(t.GetCluster())
				for _, w := range t.GetWeightedClusters().GetClusters() {
					r.clusters.add(w.GetName())
				}
			}
		}
	}
}

func (r refs) cluster(m *clusterv3.Cluster) {
	r.socket(m.GetTransportSocket())
	for _, t := range m.GetTransportSocketMatches() {
		r.socket(t.GetTransportSocket())
	}
}

// key is what a resource is known by that another one names.
func key(c *corev3.ConfigSource, name string) string {
	source, err := origin.Of(c)
	if err != nil || name == "" {
		return ""
	}
	return origin.Name{Source: source, Name: name}.Key()
}

// socket collects the secrets that are to be had elsewhere: those that do not name
// the proxy's own identity.
func (r refs) socket(t *corev3.TransportSocket) {
	for _, c := range commonTLS(t.GetTypedConfig()) {
		for _, s := range c.GetTlsCertificateSdsSecretConfigs() {
			r.secret(s)
		}
		r.secret(c.GetValidationContextSdsSecretConfig())
		r.secret(c.GetCombinedValidationContext().GetValidationContextSdsSecretConfig())
	}
}

func (r refs) secret(s *tlsv3.SdsSecretConfig) {
	if s.GetSdsConfig() == nil || s.GetName() == "" {
		return // it is the bootstrap's
	}
	if k, err := proxytls.SecretKey(s); err == nil && k != proxytls.OwnCertificate && k != proxytls.OwnRoots {
		r.secrets.add(k)
	}
}

func commonTLS(a *anypb.Any) []*tlsv3.CommonTlsContext {
	var out []*tlsv3.CommonTlsContext
	if p := new(ppv3.ProxyProtocolUpstreamTransport); a.MessageIs(p) && a.UnmarshalTo(p) == nil {
		a = p.GetTransportSocket().GetTypedConfig()
	}
	d, u := new(tlsv3.DownstreamTlsContext), new(tlsv3.UpstreamTlsContext)
	switch {
	case a == nil:
	case a.MessageIs(d) && a.UnmarshalTo(d) == nil:
		out = append(out, d.GetCommonTlsContext())
	case a.MessageIs(u) && a.UnmarshalTo(u) == nil:
		out = append(out, u.GetCommonTlsContext())
	}
	return out
}

// chains gives all filter chains of a listener.
func chains(m *listenerv3.Listener) []*listenerv3.FilterChain {
	all := m.GetFilterChains()
	if d := m.GetDefaultFilterChain(); d != nil {
		all = append(all[:len(all):len(all)], d)
	}
	return all
}

// manager gives the HTTP connection manager that f is, or nil.
func manager(f *listenerv3.Filter) *hcmv3.HttpConnectionManager {
	h := new(hcmv3.HttpConnectionManager)
	if f.GetTypedConfig().MessageIs(h) && f.GetTypedConfig().UnmarshalTo(h) == nil {
		return h
	}
	return nil
}
