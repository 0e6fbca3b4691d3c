package app

import (
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/footprint"
	"github.com/usher-mesh/usher/internal/proxy/admin"
	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
)

func (p *proxy) adminOptions() admin.Options {
	return admin.Options{
		Ready: p.ready, Config: p.status, Dump: p.store.Dump, Boot: p.boot, Hosts: p.hosts, Certs: p.chain,
		Metrics: p.metrics, Level: p.o.Level, Drain: p.drainListeners, Draining: p.draining.Load, Quit: p.quit, Log: p.log,
	}
}

// drainListeners has all listeners drain, or those inbound; graceful: they go on
// accepting for the time of a drain.
func (p *proxy) drainListeners(graceful, inbound bool) {
	which := func(s *listener.Spec) bool { return s.Inbound || !inbound }
	if !inbound {
		p.draining.Store(true)
	}
	if !graceful {
		p.listeners.stop(which)
		return
	}
	p.listeners.announce(which)
	time.AfterFunc(p.o.Drain, func() { p.listeners.stop(which) })
}

func (p *proxy) status() admin.Status {
	return admin.Status{
		Version: p.store.Digest(), Acked: p.acked(), Connected: p.acked(),
		Rejected: p.store.Rejected(), Ready: p.ready(), Draining: p.draining.Load(),
	}
}

// boot shows the bootstrap, less the credential.
func (p *proxy) boot() ([]byte, error) {
	b := proto.CloneOf(p.o.Bootstrap)
	for _, l := range b.GetLayeredRuntime().GetLayers() {
		f := l.GetStaticLayer().GetFields()["usher"].GetStructValue().GetFields()
		if f["credential"] != nil {
			f["credential"] = structpb.NewStringValue(config.Redacted)
		}
	}
	if err := config.Redact(b); err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
}

func (p *proxy) hosts() []admin.Host {
	out := []admin.Host{}
	clusters := p.snapshot().Clusters
	for _, n := range slices.Sorted(maps.Keys(clusters)) {
		for _, h := range clusters[n].Hosts() {
			out = append(out, admin.Host{Cluster: n, Address: h.Text, TLS: h.TLS()})
		}
	}
	return out
}

func (p *proxy) addMetrics() {
	m := p.metrics
	m.Add("envoy_server_live", metrics.Gauge, "1 if the proxy is ready.", func() float64 { return flag(p.ready()) })
	m.Add("envoy_server_uptime", metrics.Gauge, "Seconds since the start.", func() float64 { return time.Since(p.started).Truncate(time.Second).Seconds() })
	m.Add("process_resident_memory_bytes", metrics.Gauge, "Resident memory.", func() float64 { return float64(footprint.Resident()) })
	m.Add("usher_config_rejected", metrics.Gauge, "Resources whose last version is refused.", func() float64 { return float64(p.store.Rejected()) })
	o := p.overload.State()
	m.Add("usher_overload_requests_refused_total", metrics.Counter, "Requests answered 503 because the proxy is overloaded.", func() float64 { return float64(o.Requests.Hits()) })
	m.Add("usher_connections_refused_total", metrics.Counter, "Connections closed at once: too many, or the proxy is overloaded.", func() float64 { return float64(o.Refused()) })
	m.Add("usher_connections", metrics.Gauge, "Open connections of clients.", func() float64 { return float64(o.Open()) })
	p.overload.Each(func(name string, value func() float64) {
		m.Add("envoy_"+strings.NewReplacer(".", "_", "-", "_").Replace(name), metrics.Gauge, "Envoy's "+name+".", value)
	})
	http2Counters(m, "envoy_http2_", &p.downstream)
	http2Counters(m, "envoy_cluster_http2_", &p.upstream)
	if p.client == nil {
		return
	}
	m.Add("envoy_control_plane_connected_state", metrics.Gauge, "1 if the control plane is connected.", func() float64 { return flag(p.acked()) })
	m.Add("usher_xds_streams_total", metrics.Counter, "Streams opened to the control plane.", func() float64 { n, _, _ := p.client.Counts(); return float64(n) })
	m.Add("usher_xds_responses_total", metrics.Counter, "Responses of the control plane.", func() float64 { _, n, _ := p.client.Counts(); return float64(n) })
	m.Add("usher_xds_rejected_total", metrics.Counter, "Resources refused.", func() float64 { _, _, n := p.client.Counts(); return float64(n) })
	m.Add("usher_certificate_expiration_timestamp_seconds", metrics.Gauge, "When the proxy's own certificate ends.", func() float64 {
		c, err := p.own.Certificate()
		if err != nil {
			return 0
		}
		return float64(c.Leaf.NotAfter.Unix())
	})
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
