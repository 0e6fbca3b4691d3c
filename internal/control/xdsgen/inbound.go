package xdsgen

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// legacyPrefix stands before the texts of the Policy form.
const legacyPrefix = "Origin "

// receive makes what a sidecar needs for its application's own ports.
func (g *Generator) receive(m *mesh.Model, p *mesh.Proxy, w *mesh.Workload) []*Resource {
	key := p.Namespace + "/" + p.Name
	deps := []any{m.Settings, w.Security, w.Ref}
	for _, in := range p.Inbound {
		deps = append(deps, in)
	}
	return g.inbound.Get(key, deps, func() []*Resource {
		var out []*Resource
		for _, in := range p.Inbound {
			out = append(out, inboundCluster(in), inboundListener(in, w, m.Settings))
		}
		return out
	})
}

func inboundClusterName(in mesh.InboundPort) string { return fmt.Sprintf("inbound|%d||", in.Port) }

func inboundCluster(in mesh.InboundPort) *Resource {
	name := inboundClusterName(in)
	c := &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(connectTimeout),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment:       assignment(name, in.App),
	}
	speak(c, upstreamHTTP(in.Protocol, nil))
	return newResource(ClusterType, name, c)
}

// inboundListener has a chain for mTLS and one for clear text, as the mode of the
// port has it.
func inboundListener(in mesh.InboundPort, w *mesh.Workload, set *mesh.Settings) *Resource {
	name := fmt.Sprintf("inbound_%s_%d", in.Listen.Addr(), in.Listen.Port())
	l := &listenerv3.Listener{
		Name: name, Address: address(in.Listen), TrafficDirection: corev3.TrafficDirection_INBOUND,
		ListenerFiltersTimeout: durationpb.New(5 * time.Second),
		ListenerFilters: []*listenerv3.ListenerFilter{{
			Name:       "envoy.filters.listener.tls_inspector",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&tlsinspectorv3.TlsInspector{})},
		}},
	}
	mode := w.Security.Mode(in.Port)
	if mode != mesh.Disable {
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name:             "mtls",
			FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: "tls"},
			Filters:          inboundFilters(in, w.Security, true),
			TransportSocket:  meshServer(set.TrustDomain),
		})
	}
	if mode != mesh.Strict {
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name:             "clear",
			FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"},
			Filters:          inboundFilters(in, w.Security, false),
		})
	}
	if w.Security.OriginFor(in.Port) != nil && mesh.IsHTTP(in.Protocol) {
		l.Metadata = usherMetadata(map[string]*structpb.Value{"jwt_authn": structpb.NewStructValue(&structpb.Struct{
			Fields: map[string]*structpb.Value{legacyName: structpb.NewStructValue(&structpb.Struct{
				Fields: map[string]*structpb.Value{"text_prefix": structpb.NewStringValue(legacyPrefix)},
			})},
		})})
	}
	return newResource(ListenerType, name, l, originsOf(w.Security, w.Ref)...)
}

func inboundFilters(in mesh.InboundPort, s *mesh.Security, mtls bool) []*listenerv3.Filter {
	at := &place{in.Port}
	cluster := inboundClusterName(in)
	if !mesh.IsHTTP(in.Protocol) {
		return append(tcpGuards(s, at), &listenerv3.Filter{
			Name: "envoy.filters.network.tcp_proxy",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(&tcpv3.TcpProxy{
				StatPrefix: cluster, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster}, AccessLog: accessLog(),
			})},
		})
	}
	name := fmt.Sprintf("inbound|%d||", in.Port)
	return []*listenerv3.Filter{(&manager{
		stat: fmt.Sprintf("inbound_%d", in.Port), inbound: true, mtls: mtls, guards: guardsOf(s, at),
		routes: inline(&routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
			Name: "inbound|http|" + fmt.Sprint(in.Port), Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name: "default", Match: routeMatch(nil),
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: durationpb.New(0),
				}},
			}},
		}}}),
	}).filter()}
}

// originsOf are the objects that guard a workload, and the workload.
func originsOf(s *mesh.Security, more ...mesh.Ref) []mesh.Ref {
	for _, r := range s.RequestRules {
		more = append(more, r.Ref)
	}
	for _, o := range s.Origin {
		if o != nil {
			more = append(more, o.Ref)
		}
	}
	for _, p := range s.PeerPolicy {
		if p != (mesh.PeerPolicy{}) {
			more = append(more, p.Ref)
		}
	}
	for _, a := range s.Authorization {
		more = append(more, a.Ref)
	}
	for _, d := range s.Denied {
		more = append(more, d.Ref)
	}
	return append(more, s.Peers...)
}
