package translate

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networkingapi "istio.io/api/networking/v1alpha3"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Bounds of what a policy may ask for: Envoy's own, and for times what no timer overflows of.
const (
	maxRing     = 8 << 20
	maxTable    = 5000011
	maxProbes   = 127                 // the kernel's
	maxProbing  = 32767 * time.Second // the kernel's
	maxTime     = 10 * 365 * 24 * time.Hour
	maxHashText = 1024 // bytes of a name, a path or an attribute
)

// usedTraffic are the fields of a traffic policy, or of a port's own, that have effect.
var usedTraffic = []string{"tls.mode", "loadBalancer.simple", "loadBalancer.consistentHash",
	"outlierDetection.consecutive5xxErrors", "outlierDetection.consecutiveGatewayErrors",
	"outlierDetection.consecutiveLocalOriginFailures", "outlierDetection.splitExternalLocalOriginErrors",
	"outlierDetection.interval", "outlierDetection.baseEjectionTime", "outlierDetection.maxEjectionPercent",
	"outlierDetection.minHealthPercent", "connectionPool.tcp.maxConnections", "connectionPool.tcp.connectTimeout",
	"connectionPool.tcp.tcpKeepalive", "connectionPool.tcp.idleTimeout", "connectionPool.tcp.maxConnectionDuration", "connectionPool.http"}

// traffic reads the load balancing, limits and outlier detection of a traffic policy.
// As in Istio, a port's own settings take nothing over from the policy that they stand
// in. A part with a bad value is left out.
func traffic(t *networkingapi.TrafficPolicy, path string, v *verdict) mesh.Traffic {
	out := mesh.Traffic{TrafficPolicy: trafficPolicy(t, path, v)}
	for i, p := range t.GetPortLevelSettings() {
		if out.Ports == nil {
			out.Ports = map[uint16]mesh.TrafficPolicy{}
		}
		out.Ports[uint16(p.GetPort().GetNumber())] = trafficPolicy(p, fmt.Sprintf("%s.portLevelSettings[%d]", path, i), v)
	}
	return out
}

// inherit gives a subset's policy what it leaves to its rule: each part that it has
// itself stands in place of the rule's, for single ports too, and its own settings of a
// port in place of all.
func inherit(rule, subset mesh.Traffic) mesh.Traffic {
	out := mesh.Traffic{TrafficPolicy: over(rule.TrafficPolicy, subset.TrafficPolicy)}
	if len(rule.Ports)+len(subset.Ports) > 0 {
		out.Ports = map[uint16]mesh.TrafficPolicy{}
	}
	for n, p := range rule.Ports {
		out.Ports[n] = over(p, subset.TrafficPolicy)
	}
	for n, p := range subset.Ports {
		out.Ports[n] = p
	}
	return out
}

func over(below, above mesh.TrafficPolicy) mesh.TrafficPolicy {
	if above.Balancer != nil {
		below.Balancer = above.Balancer
	}
	if above.Pool != nil {
		below.Pool = above.Pool
	}
	if above.Outliers != nil {
		below.Outliers = above.Outliers
	}
	return below
}

func trafficPolicy(t interface {
	GetLoadBalancer() *networkingapi.LoadBalancerSettings
	GetConnectionPool() *networkingapi.ConnectionPoolSettings
	GetOutlierDetection() *networkingapi.OutlierDetection
}, path string, v *verdict) mesh.TrafficPolicy {
	return mesh.TrafficPolicy{
		Balancer: loadBalancer(t.GetLoadBalancer(), &part{path + ".loadBalancer", v, false}),
		Pool:     connectionPool(t.GetConnectionPool(), &part{path + ".connectionPool", v, false}),
		Outliers: outlierDetection(t.GetOutlierDetection(), &part{path + ".outlierDetection", v, false}),
	}
}

func loadBalancer(in *networkingapi.LoadBalancerSettings, p *part) *mesh.LoadBalancer {
	if in == nil {
		return nil
	}
	out := &mesh.LoadBalancer{}
	switch in.GetSimple() {
	case networkingapi.LoadBalancerSettings_ROUND_ROBIN:
		out.Algorithm = mesh.RoundRobin
	case networkingapi.LoadBalancerSettings_RANDOM:
		out.Algorithm = mesh.Random
	case networkingapi.LoadBalancerSettings_PASSTHROUGH:
		p.v.warn("%s.simple: PASSTHROUGH has no effect yet", p.path)
	}
	h := in.GetConsistentHash()
	if h == nil {
		return out
	}
	out.Hash = hashKey(h, &part{p.path + ".consistentHash", p.v, false})
	if h.GetHashKey() != nil && out.Hash == nil {
		return nil
	}
	//lint:ignore SA1019 Istio still reads the field that it has deprecated.
	old := h.GetMinimumRingSize()
	switch a := h.GetHashAlgorithm().(type) {
	case *networkingapi.LoadBalancerSettings_ConsistentHashLB_Maglev:
		out.Algorithm, out.Size = mesh.Maglev, a.Maglev.GetTableSize()
		p.check(out.Size == 0 || out.Size <= maxTable && new(big.Int).SetUint64(out.Size).ProbablyPrime(0),
			"consistentHash.maglev.tableSize", "must be a prime up to %d", maxTable)
	case *networkingapi.LoadBalancerSettings_ConsistentHashLB_RingHash_:
		out.Algorithm, out.Size = mesh.RingHash, a.RingHash.GetMinimumRingSize()
		p.check(out.Size <= maxRing, "consistentHash.ringHash.minimumRingSize", "must be at most %d", maxRing)
	default:
		out.Algorithm, out.Size = mesh.RingHash, old
		p.check(old <= maxRing, "consistentHash.minimumRingSize", "must be at most %d", maxRing)
	}
	p.check(old == 0 || h.GetHashAlgorithm() == nil, "consistentHash.minimumRingSize", "must not stand beside ringHash or maglev")
	if p.bad {
		return nil
	}
	return out
}

// hashKey gives nil if requests are to be spread by chance, or a value is bad.
func hashKey(in *networkingapi.LoadBalancerSettings_ConsistentHashLB, p *part) *mesh.HashKey {
	out := &mesh.HashKey{}
	switch k := in.GetHashKey().(type) {
	case *networkingapi.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		out.Header = k.HttpHeaderName
		p.name("httpHeaderName", strings.TrimPrefix(k.HttpHeaderName, ":"))
	case *networkingapi.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		out.Query = k.HttpQueryParameterName
		p.check(out.Query != "" && len(out.Query) <= maxHashText, "httpQueryParameterName", "must have from 1 to %d bytes", maxHashText)
	case *networkingapi.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		out.SourceIP = k.UseSourceIp
		if !k.UseSourceIp {
			p.check(false, "useSourceIp", "must be true")
		}
	case *networkingapi.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		c := k.HttpCookie
		out.Cookie = &mesh.HashCookie{Name: c.GetName(), Path: c.GetPath(), TTL: p.duration("httpCookie.ttl", c.GetTtl(), 0)}
		p.name("httpCookie.name", c.GetName())
		p.cookieText("httpCookie.path", c.GetPath())
		seen := map[string]bool{}
		for i, a := range c.GetAttributes() {
			at := fmt.Sprintf("httpCookie.attributes[%d].", i)
			p.name(at+"name", a.GetName())
			p.cookieText(at+"value", a.GetValue())
			p.check(!seen[a.GetName()], at+"name", "is there twice")
			seen[a.GetName()] = true
			out.Cookie.Attributes = append(out.Cookie.Attributes, mesh.Header{Name: a.GetName(), Value: a.GetValue()})
		}
	default:
		return nil
	}
	if p.bad {
		return nil
	}
	return out
}

func connectionPool(in *networkingapi.ConnectionPoolSettings, p *part) *mesh.ConnectionPool {
	if in == nil {
		return nil
	}
	tcp, http := in.GetTcp(), in.GetHttp()
	out := &mesh.ConnectionPool{
		MaxConnections:        p.count("tcp.maxConnections", tcp.GetMaxConnections()),
		MaxPending:            p.count("http.http1MaxPendingRequests", http.GetHttp1MaxPendingRequests()),
		MaxRequests:           p.count("http.http2MaxRequests", http.GetHttp2MaxRequests()),
		MaxRetries:            p.count("http.maxRetries", http.GetMaxRetries()),
		RequestsPerConnection: p.count("http.maxRequestsPerConnection", http.GetMaxRequestsPerConnection()),
		StreamsPerConnection:  p.count("http.maxConcurrentStreams", http.GetMaxConcurrentStreams()),
		HTTP2:                 http.GetH2UpgradePolicy() == networkingapi.ConnectionPoolSettings_HTTPSettings_UPGRADE,
		ClientProtocol:        http.GetUseClientProtocol(),
		IdleTimeout:           p.duration("tcp.idleTimeout", tcp.GetIdleTimeout(), 0),
	}
	if http.GetIdleTimeout() != nil {
		out.IdleTimeout = p.duration("http.idleTimeout", http.GetIdleTimeout(), time.Millisecond)
	}
	if d := p.duration("tcp.connectTimeout", tcp.GetConnectTimeout(), time.Millisecond); d != nil {
		out.ConnectTimeout = *d
	}
	if d := p.duration("tcp.maxConnectionDuration", tcp.GetMaxConnectionDuration(), time.Millisecond); d != nil {
		out.MaxAge = *d
	}
	if k := tcp.GetTcpKeepalive(); k != nil {
		out.Keepalive = &mesh.Keepalive{Probes: k.GetProbes()}
		p.check(k.GetProbes() <= maxProbes, "tcp.tcpKeepalive.probes", "must be at most %d", maxProbes)
		for _, f := range []struct {
			name string
			in   *durationpb.Duration
			to   *time.Duration
		}{{"time", k.GetTime(), &out.Keepalive.Time}, {"interval", k.GetInterval(), &out.Keepalive.Interval}} {
			if d := p.duration("tcp.tcpKeepalive."+f.name, f.in, time.Second); d != nil {
				*f.to = d.Truncate(time.Second)
				p.check(*d <= maxProbing, "tcp.tcpKeepalive."+f.name, "must be at most %v", maxProbing)
			}
		}
	}
	if k := http.GetHttp2KeepAlive(); k != nil {
		interval := p.duration("http.http2KeepAlive.interval", k.GetInterval(), time.Millisecond)
		timeout := p.duration("http.http2KeepAlive.timeout", k.GetTimeout(), time.Millisecond)
		p.check(interval != nil && timeout != nil, "http.http2KeepAlive", "interval and timeout must be given")
		if !p.bad {
			out.Ping = &mesh.Ping{Interval: *interval, Timeout: *timeout}
		}
	}
	p.check(!out.HTTP2 || !out.ClientProtocol, "http.useClientProtocol", "must not stand beside h2UpgradePolicy UPGRADE")
	if p.bad {
		return nil
	}
	return out
}

func outlierDetection(in *networkingapi.OutlierDetection, p *part) *mesh.OutlierDetection {
	if in == nil {
		return nil
	}
	number := func(v *wrapperspb.UInt32Value) *uint32 {
		if v == nil {
			return nil
		}
		n := v.GetValue()
		return &n
	}
	out := &mesh.OutlierDetection{
		Errors: number(in.GetConsecutive_5XxErrors()), GatewayErrors: number(in.GetConsecutiveGatewayErrors()),
		LocalFailures: number(in.GetConsecutiveLocalOriginFailures()), SplitLocal: in.GetSplitExternalLocalOriginErrors(),
		MaxEjected: p.count("maxEjectionPercent", in.GetMaxEjectionPercent()),
		MinHealthy: p.count("minHealthPercent", in.GetMinHealthPercent()),
	}
	if d := p.duration("interval", in.GetInterval(), time.Millisecond); d != nil {
		out.Interval = *d
	}
	if d := p.duration("baseEjectionTime", in.GetBaseEjectionTime(), time.Millisecond); d != nil {
		out.BaseEjection = *d
	}
	p.check(out.MaxEjected <= 100, "maxEjectionPercent", "must be from 0 to 100")
	p.check(out.MinHealthy <= 100, "minHealthPercent", "must be from 0 to 100")
	p.check(out.SplitLocal || in.GetConsecutiveLocalOriginFailures().GetValue() == 0,
		"consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors")
	if p.bad {
		return nil
	}
	return out
}

// part is one part of a traffic policy while it is read.
type part struct {
	path string
	v    *verdict
	bad  bool // something in it is refused
}

func (p *part) check(ok bool, field, format string, args ...any) {
	if !ok {
		p.bad = true
		p.v.refuse(reasonInvalid, "%s.%s: %s", p.path, field, fmt.Sprintf(format, args...))
	}
}

func (p *part) count(field string, n int32) uint32 {
	p.check(n >= 0, field, "must not be negative")
	return uint32(max(n, 0))
}

// duration gives nil for one that is not there.
func (p *part) duration(field string, in *durationpb.Duration, least time.Duration) *time.Duration {
	if in == nil {
		return nil
	}
	d := in.AsDuration()
	p.check(in.IsValid() && d >= least && d <= maxTime, field, "must be from %v to %v", least, maxTime)
	return &d
}

func (p *part) name(field, s string) {
	p.check(httpguts.ValidHeaderFieldName(s) && len(s) <= maxHashText, field, "is no name")
}

// cookieText refuses what would end a cookie's attribute or a header.
func (p *part) cookieText(field, s string) {
	p.check(len(s) <= maxHashText && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' || r == '"' }) < 0,
		field, "must be printable ASCII without space, quote and semicolon")
}
