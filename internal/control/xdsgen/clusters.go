package xdsgen

import (
	"fmt"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dfpclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	dfpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/dynamic_forward_proxy/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Clusters that every proxy has.
const (
	passthrough = "PassthroughCluster"
	blackHole   = "BlackHoleCluster"
	mirror      = "usher-jwks-mirror"
)

const (
	connectTimeout = 10 * time.Second
	tlsModeKey     = "tlsMode"
	matchMetadata  = "envoy.transport_socket_match"
)

// clusterName is Istio's name of a service's cluster.
func clusterName(host string, port uint16, subset string) string {
	return fmt.Sprintf("outbound|%d|%s|%s", port, subset, host)
}

// serviceClusters makes the clusters of a service: for each port one for all
// endpoints, and one for each subset.
func serviceClusters(s *mesh.Service) []*Resource {
	var out []*Resource
	for _, p := range s.Ports {
		out = append(out, serviceCluster(s, p, "", s.TLS.For(p.Port)))
		for _, sub := range s.Subsets {
			out = append(out, serviceCluster(s, p, sub.Name, sub.TLS.For(p.Port)))
		}
	}
	return out
}

func serviceCluster(s *mesh.Service, p mesh.ServicePort, subset string, tls mesh.ClientMode) *Resource {
	name := clusterName(s.Hostname, p.Port, subset)
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS(), ServiceName: name},
	}
	traffic := s.Toward(subset, p.Port)
	balance(c, traffic.Balancer)
	limit(c, traffic.Pool)
	eject(c, traffic.Outliers)
	accounts := s.Accounts
	if len(accounts) == 0 { // no endpoint takes mTLS now: none is believed
		accounts = []string{"spiffe://cluster.local/ns/" + s.Namespace + "/sa/default"}
	}
	sni := strings.ReplaceAll(fmt.Sprintf("outbound_.%d_.%s_.%s", p.Port, subset, s.Hostname), "|", "_")
	switch tls {
	case mesh.AutoMTLS:
		c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
			{Name: "tlsMode-istio", Match: tlsModeIstio(), TransportSocket: meshClient(sni, accounts)},
			{Name: "tlsMode-disabled", Match: &structpb.Struct{}, TransportSocket: rawBuffer()},
		}
	case mesh.MeshMTLS:
		c.TransportSocket = meshClient(sni, accounts)
	case mesh.NoTLS, mesh.NoWay: // the latter has no endpoints
	}
	speak(c, upstreamHTTP(p.Protocol, traffic.Pool))
	return newResource(ClusterType, name, c, s.Origins...)
}

func tlsModeIstio() *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{tlsModeKey: structpb.NewStringValue(alpnIstio)}}
}

// speak has a cluster speak HTTP as o says.
func speak(c *clusterv3.Cluster, o *httpv3.HttpProtocolOptions) {
	if o != nil {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(o)}
	}
}

// asDownstream speaks to the endpoint what the client spoke.
func asDownstream(http2 *corev3.Http2ProtocolOptions) *httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig {
	return &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
		UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{}, Http2ProtocolOptions: http2,
		},
	}
}

// serviceEndpoints makes the endpoints of every cluster of a service. A cluster
// to which there is no way has none: requests are answered with 503.
func serviceEndpoints(s *mesh.Service) []*Resource {
	var out []*Resource
	for i, p := range s.Ports {
		reached := func(t mesh.ClientTLS) []mesh.Endpoint {
			if t.For(p.Port) == mesh.NoWay {
				return nil
			}
			return s.Endpoints[i]
		}
		out = append(out, endpoints(s, clusterName(s.Hostname, p.Port, ""), reached(s.TLS), nil))
		for j := range s.Subsets {
			sub := &s.Subsets[j]
			out = append(out, endpoints(s, clusterName(s.Hostname, p.Port, sub.Name), reached(sub.TLS), sub))
		}
	}
	return out
}

func endpoints(s *mesh.Service, name string, list []mesh.Endpoint, sub *mesh.Subset) *Resource {
	l := &endpointv3.LocalityLbEndpoints{}
	origins := append([]mesh.Ref(nil), s.Origins...)
	for _, e := range list {
		if sub != nil && !sub.Selects(e.Labels) {
			continue
		}
		lb := lbEndpoint(e.Address)
		if e.Weight > 0 {
			lb.LoadBalancingWeight = wrapperspb.UInt32(e.Weight)
		}
		if e.MTLS {
			lb.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{matchMetadata: tlsModeIstio()}}
		}
		if e.Workload != (mesh.Ref{}) {
			origins = append(origins, e.Workload)
		}
		l.LbEndpoints = append(l.LbEndpoints, lb)
	}
	a := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	if len(l.LbEndpoints) > 0 {
		a.Endpoints = []*endpointv3.LocalityLbEndpoints{l}
	}
	return newResource(EndpointType, name, a, origins...)
}

// fixedClusters are those that every proxy has.
func (g *Generator) fixedClusters() []*Resource {
	out := []*Resource{
		newResource(ClusterType, blackHole, &clusterv3.Cluster{
			Name: blackHole, ConnectTimeout: durationpb.New(connectTimeout),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
			LoadAssignment:       &endpointv3.ClusterLoadAssignment{ClusterName: blackHole},
		}),
		newResource(ClusterType, passthrough, &clusterv3.Cluster{
			Name: passthrough, ConnectTimeout: durationpb.New(connectTimeout),
			LbPolicy: clusterv3.Cluster_CLUSTER_PROVIDED,
			ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
				Name: "envoy.clusters.dynamic_forward_proxy",
				TypedConfig: pack(&dfpclusterv3.ClusterConfig{ClusterImplementationSpecifier: &dfpclusterv3.ClusterConfig_DnsCacheConfig{
					DnsCacheConfig: &dfpv3.DnsCacheConfig{Name: "passthrough", DnsLookupFamily: clusterv3.Cluster_V4_PREFERRED},
				}}),
			}},
		}),
	}
	if g.o.MirrorAddr.IsValid() {
		out = append(out, newResource(ClusterType, mirror, &clusterv3.Cluster{
			Name: mirror, ConnectTimeout: durationpb.New(connectTimeout),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
			LoadAssignment:       assignment(mirror, g.o.MirrorAddr),
			TransportSocket:      mirrorSocket(),
		}))
	}
	return out
}
