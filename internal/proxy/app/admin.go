package app

import (
	"maps"
	"math"
	"runtime"
	rmetrics "runtime/metrics"
	"slices"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usher-mesh/usher/internal/footprint"
	"github.com/usher-mesh/usher/internal/proxy/admin"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/version"
)

func (p *proxy) adminOptions() admin.Options {
	return admin.Options{
		Allow:  bootstrap.AdminAllows(p.o.Bootstrap),
		Config: p.status, Server: p.serverInfo, Dump: p.dump, Unready: p.unready, Clusters: p.clusterStatuses,
		Listeners: p.listeners.statuses, Certs: p.store.Certificates, Metrics: p.metrics, Loggers: p.loggers,
		Drain: p.drainListeners, Health: func(ok bool) { p.unwell.Store(!ok) }, Quit: p.quit, Reopen: p.access.Reopen, Log: p.loggers.of(logAdmin),
	}
}

// adminAddresses are where the administration interface is served.
func (p *proxy) adminAddresses() (out []string) {
	for _, a := range []string{bootstrap.Admin(p.o.Bootstrap), p.local.AdminSocket} {
		if a != "" {
			out = append(out, a)
		}
	}
	return out
}

// drainListeners has all listeners drain, or those inbound; graceful: they go on
// accepting for the time of a drain; stay: always.
func (p *proxy) drainListeners(graceful, inbound, stay bool) {
	which := func(s *listener.Spec) bool { return s.Inbound || !inbound }
	if !inbound && !stay {
		p.draining.Store(true)
	}
	switch {
	case stay:
		p.listeners.announce(which)
	case graceful:
		p.listeners.announce(which)
		time.AfterFunc(p.o.Drain, func() { p.listeners.stop(which) })
	default:
		p.listeners.stop(which)
	}
}

func (p *proxy) status() admin.Status {
	return admin.Status{
		Version: p.store.Digest(), Acked: p.acked(), Connected: p.acked(),
		Rejected: p.store.Rejected(), Ready: p.ready(), Draining: p.draining.Load(),
	}
}

// state is Envoy's of the whole: a proxy that health checks are to see as failed drains.
func (p *proxy) state() adminv3.ServerInfo_State {
	switch {
	case p.draining.Load(), p.unwell.Load():
		return adminv3.ServerInfo_DRAINING
	case !p.ready():
		return adminv3.ServerInfo_PRE_INITIALIZING
	}
	return adminv3.ServerInfo_LIVE
}

func (p *proxy) serverInfo() *adminv3.ServerInfo {
	up := durationpb.New(time.Since(p.started).Truncate(time.Second))
	return &adminv3.ServerInfo{
		Version: "usher-proxy/" + version.Version, State: p.state(), UptimeCurrentEpoch: up, UptimeAllEpochs: up, HotRestartVersion: "disabled",
		CommandLineOptions: &adminv3.CommandLineOptions{
			Concurrency: uint32(runtime.GOMAXPROCS(0)), LogLevel: admin.LevelName(p.o.Level), Mode: adminv3.CommandLineOptions_Serve,
			DrainTime: durationpb.New(p.o.Drain), FileFlushInterval: durationpb.New(0), ParentShutdownTime: durationpb.New(0), DisableHotRestart: true, RejectUnknownDynamicFields: true,
		},
		Node: p.node(),
	}
}

// dump is /config_dump, in Envoy's order.
func (p *proxy) dump(endpoints bool) ([]proto.Message, error) {
	b, err := p.boot()
	if err != nil {
		return nil, err
	}
	d := p.store.Dump()
	out := []proto.Message{&adminv3.BootstrapConfigDump{Bootstrap: b, LastUpdated: timestamppb.New(p.started)}, d.Clusters}
	if endpoints {
		out = append(out, d.Endpoints)
	}
	return append(out, d.Listeners, &adminv3.ScopedRoutesConfigDump{}, d.Routes, d.Secrets), nil
}

func (p *proxy) unready() *adminv3.UnreadyTargetsDumps {
	d := &adminv3.UnreadyTargetsDumps{}
	waits := p.store.Unready()
	for _, n := range slices.Sorted(maps.Keys(waits)) {
		d.UnreadyTargetsDumps = append(d.UnreadyTargetsDumps, &adminv3.UnreadyTargetsDumps_UnreadyTargetsDump{
			Name: "init manager Listener-local-init-manager " + n, TargetNames: waits[n]})
	}
	return d
}

// boot shows the bootstrap, less the credential.
func (p *proxy) boot() (*bootstrapv3.Bootstrap, error) {
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
	return b, nil
}

func (p *proxy) clusterStatuses() *adminv3.Clusters {
	out := &adminv3.Clusters{}
	clusters := p.snapshot().Clusters
	for _, n := range slices.Sorted(maps.Keys(clusters)) {
		c := clusters[n].Show()
		c.AddedViaApi = !p.static[n]
		out.ClusterStatuses = append(out.ClusterStatuses, c)
	}
	return out
}

// addOverload shows what the overload manager has measured, under Envoy's names.
func addOverload(m *metrics.Registry, o *overload.Manager) {
	o.Each(func(name string, value func() float64) { m.Add(name, metrics.Gauge, "Envoy's "+name+".", value) })
}

func (p *proxy) addMetrics() {
	m := p.metrics
	m.Add("server.live", metrics.Gauge, "1 if the proxy is ready.", func() float64 { return flag(p.ready()) })
	m.Add("server.uptime", metrics.Gauge, "Seconds since the start.", func() float64 { return time.Since(p.started).Truncate(time.Second).Seconds() })
	gauge := func(name, help string, read func() uint64) {
		m.Add(name, metrics.Gauge, help, func() float64 { return float64(read()) })
	}
	gauge("server.state", "0: live, 1: draining, 2: not ready.", func() uint64 { return uint64(p.state()) })
	gauge("server.concurrency", "Threads that run at a time.", func() uint64 { return uint64(runtime.GOMAXPROCS(0)) })
	gauge("server.memory_physical_size", "Resident memory.", footprint.Resident)
	gauge("server.memory_allocated", "Memory that is in use.", func() uint64 { return memory("/memory/classes/heap/objects:bytes") })
	gauge("server.memory_heap_size", "Memory that is reserved.", func() uint64 { return memory("/memory/classes/total:bytes") })
	gauge("server.total_connections", "Open connections of clients.", p.listeners.connections)
	gauge("server.days_until_first_cert_expiring", "Days; 4294967295 without a certificate.", p.firstExpiry)
	gauge("cluster_manager.active_clusters", "Clusters.", func() uint64 { return uint64(len(p.snapshot().Clusters)) })
	gauge("listener_manager.total_listeners_active", "Listeners that serve.", func() uint64 { return uint64(len(p.listeners.statuses().GetListenerStatuses())) })
	gauge("listener_manager.total_listeners_warming", "Listeners that wait for what they need.", func() uint64 { return uint64(len(p.store.Unready())) })
	m.Add("process_resident_memory_bytes", metrics.Gauge, "Resident memory.", func() float64 { return float64(footprint.Resident()) })
	m.Add("usher_config_rejected", metrics.Gauge, "Resources whose last version is refused.", func() float64 { return float64(p.store.Rejected()) })
	o := p.overload.State()
	m.Add("usher_overload_requests_refused_total", metrics.Counter, "Requests answered 503 because the proxy is overloaded.", func() float64 { return float64(o.Requests.Hits()) })
	m.Add("usher_connections_refused_total", metrics.Counter, "Connections closed at once: too many, or the proxy is overloaded.", func() float64 { return float64(o.Refused()) })
	m.Add("usher_connections", metrics.Gauge, "Open connections of clients.", func() float64 { return float64(o.Open()) })
	addOverload(m, p.overload)
	http2Counters(m, "http2.", &p.downstream)
	http2Counters(m, "cluster.http2.", &p.upstream)
	if p.own != nil {
		m.Add("usher_certificate_expiration_timestamp_seconds", metrics.Gauge, "When the proxy's own certificate ends.", func() float64 {
			c, err := p.own.Certificate()
			if err != nil {
				return 0
			}
			return float64(c.Leaf.NotAfter.Unix())
		})
	}
	if p.client == nil {
		return
	}
	m.Add("control_plane.connected_state", metrics.Gauge, "1 if the control plane is connected.", func() float64 { return flag(p.acked()) })
	m.Add("usher_xds_streams_total", metrics.Counter, "Streams opened to the control plane.", func() float64 { n, _, _ := p.client.Counts(); return float64(n) })
	m.Add("usher_xds_responses_total", metrics.Counter, "Responses of the control plane.", func() float64 { _, n, _ := p.client.Counts(); return float64(n) })
	m.Add("usher_xds_rejected_total", metrics.Counter, "Resources refused.", func() float64 { _, _, n := p.client.Counts(); return float64(n) })
}

// memory reads one of the runtime's figures.
func memory(name string) uint64 {
	s := []rmetrics.Sample{{Name: name}}
	rmetrics.Read(s)
	return s[0].Value.Uint64()
}

// firstExpiry is how many days the certificate has that ends first.
func (p *proxy) firstExpiry() uint64 {
	first := uint64(math.MaxUint32)
	for _, c := range p.store.Certificates().GetCertificates() {
		for _, d := range slices.Concat(c.GetCaCert(), c.GetCertChain()) {
			first = min(first, d.GetDaysUntilExpiration())
		}
	}
	return first
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
