package xdsgen

import (
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// balance has a cluster choose its endpoints: by least requests if nothing is said.
func balance(c *clusterv3.Cluster, b *mesh.LoadBalancer) {
	c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	if b == nil {
		return
	}
	size := unlessZero(b.Size)
	switch b.Algorithm {
	case mesh.RoundRobin:
		c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	case mesh.Random:
		c.LbPolicy = clusterv3.Cluster_RANDOM
	case mesh.RingHash:
		c.LbPolicy = clusterv3.Cluster_RING_HASH
		if size != nil {
			c.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{MinimumRingSize: size}}
		}
	case mesh.Maglev:
		c.LbPolicy = clusterv3.Cluster_MAGLEV
		if size != nil {
			c.LbConfig = &clusterv3.Cluster_MaglevLbConfig_{MaglevLbConfig: &clusterv3.Cluster_MaglevLbConfig{TableSize: size}}
		}
	}
}

func unlessZero(n uint64) *wrapperspb.UInt64Value {
	if n == 0 {
		return nil
	}
	return wrapperspb.UInt64(n)
}

// limit bounds what goes to a cluster. Where there is a pool, what it does not limit has
// no limit, rather than Envoy's low ones, as in Istio.
func limit(c *clusterv3.Cluster, p *mesh.ConnectionPool) {
	c.ConnectTimeout = durationpb.New(connectTimeout)
	if p == nil {
		return
	}
	most := func(n uint32) *wrapperspb.UInt32Value {
		if n == 0 {
			n = math.MaxUint32
		}
		return wrapperspb.UInt32(n)
	}
	c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: most(p.MaxConnections), MaxPendingRequests: most(p.MaxPending),
		MaxRequests: most(p.MaxRequests), MaxRetries: most(p.MaxRetries), TrackRemaining: true,
	}}}
	if p.ConnectTimeout > 0 {
		c.ConnectTimeout = durationpb.New(p.ConnectTimeout)
	}
	if k := p.Keepalive; k != nil {
		c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveProbes: count(k.Probes), KeepaliveTime: count(uint32(k.Time / time.Second)), KeepaliveInterval: count(uint32(k.Interval / time.Second)),
		}}
	}
}

// count leaves out a number that is 0.
func count(n uint32) *wrapperspb.UInt32Value {
	if n == 0 {
		return nil
	}
	return wrapperspb.UInt32(n)
}

// upstreamHTTP is how a service's port is spoken to; nil: in HTTP/1.1, with the defaults.
func upstreamHTTP(protocol string, p *mesh.ConnectionPool) *httpv3.HttpProtocolOptions {
	out := &httpv3.HttpProtocolOptions{}
	http2 := &corev3.Http2ProtocolOptions{}
	if p == nil {
		p = &mesh.ConnectionPool{}
	}
	switch {
	case p.HTTP2:
		out.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: http2},
			},
		}
	case p.ClientProtocol || protocol == "http2" || protocol == "grpc":
		out.UpstreamProtocolOptions = asDownstream(http2)
	}
	http2.MaxConcurrentStreams = count(p.StreamsPerConnection)
	if p.Ping != nil {
		http2.ConnectionKeepalive = &corev3.KeepaliveSettings{Interval: durationpb.New(p.Ping.Interval), Timeout: durationpb.New(p.Ping.Timeout)}
	}
	if p.IdleTimeout != nil || p.MaxAge > 0 || p.RequestsPerConnection > 0 {
		out.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxRequestsPerConnection: count(p.RequestsPerConnection)}
		if p.MaxAge > 0 {
			out.CommonHttpProtocolOptions.MaxConnectionDuration = durationpb.New(p.MaxAge)
		}
		if p.IdleTimeout != nil {
			out.CommonHttpProtocolOptions.IdleTimeout = durationpb.New(*p.IdleTimeout)
		}
	}
	if out.UpstreamProtocolOptions == nil {
		if out.CommonHttpProtocolOptions == nil {
			return nil
		}
		out.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
			},
		}
	}
	return out
}

// eject has a cluster leave out endpoints that fail. As in Istio, success rates do not
// count, and unless something else is said ejection has effect however few endpoints
// are left.
func eject(c *clusterv3.Cluster, o *mesh.OutlierDetection) {
	if o == nil {
		return
	}
	out := &clusterv3.OutlierDetection{EnforcingSuccessRate: wrapperspb.UInt32(0), MaxEjectionPercent: count(o.MaxEjected)}
	if o.Errors != nil {
		out.Consecutive_5Xx, out.EnforcingConsecutive_5Xx = wrapperspb.UInt32(*o.Errors), enforced(*o.Errors)
	}
	if o.GatewayErrors != nil {
		out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = wrapperspb.UInt32(*o.GatewayErrors), enforced(*o.GatewayErrors)
	}
	if o.SplitLocal {
		out.SplitExternalLocalOriginErrors = true
		if o.LocalFailures != nil && *o.LocalFailures > 0 {
			out.ConsecutiveLocalOriginFailure, out.EnforcingConsecutiveLocalOriginFailure = wrapperspb.UInt32(*o.LocalFailures), wrapperspb.UInt32(100)
		}
		out.EnforcingLocalOriginSuccessRate = wrapperspb.UInt32(0)
	}
	if o.Interval > 0 {
		out.Interval = durationpb.New(o.Interval)
	}
	if o.BaseEjection > 0 {
		out.BaseEjectionTime = durationpb.New(o.BaseEjection)
	}
	c.OutlierDetection = out
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: float64(o.MinHealthy)}}
}

// enforced is the share of ejections of a count that are carried out.
func enforced(n uint32) *wrapperspb.UInt32Value {
	if n == 0 {
		return wrapperspb.UInt32(0)
	}
	return wrapperspb.UInt32(100)
}

// hashPolicies are what of a route's requests chooses their endpoints: the keys of its
// destinations, each once.
func (w *where) hashPolicies(r *mesh.HTTPRoute) []*routev3.RouteAction_HashPolicy {
	var out []*routev3.RouteAction_HashPolicy
next:
	for i := range r.Destinations {
		d := &r.Destinations[i]
		k := w.hashKey(d)
		if k == nil || d.Weight == 0 {
			continue
		}
		p := hashPolicy(k)
		for _, have := range out {
			if proto.Equal(have, p) {
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

func (w *where) hashKey(d *mesh.Destination) *mesh.HashKey {
	s := w.model.Service(d.Host)
	if s == nil {
		return nil
	}
	b := s.Toward(d.Subset, w.portOf(d)).Balancer
	if b == nil {
		return nil
	}
	return b.Hash
}

func hashPolicy(k *mesh.HashKey) *routev3.RouteAction_HashPolicy {
	switch {
	case k.Header != "":
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: k.Header},
		}}
	case k.Query != "":
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_QueryParameter_{
			QueryParameter: &routev3.RouteAction_HashPolicy_QueryParameter{Name: k.Query},
		}}
	case k.Cookie != nil:
		c := &routev3.RouteAction_HashPolicy_Cookie{Name: k.Cookie.Name, Path: k.Cookie.Path}
		if k.Cookie.TTL != nil {
			c.Ttl = durationpb.New(*k.Cookie.TTL)
		}
		for _, a := range k.Cookie.Attributes {
			c.Attributes = append(c.Attributes, &routev3.RouteAction_HashPolicy_CookieAttribute{Name: a.Name, Value: a.Value})
		}
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{Cookie: c}}
	}
	return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
		ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: k.SourceIP},
	}}
}
