package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/footprint"
	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/admin"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/filewatch"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/filter/compressor"
	"github.com/usher-mesh/usher/internal/proxy/filter/cors"
	"github.com/usher-mesh/usher/internal/proxy/filter/csrf"
	"github.com/usher-mesh/usher/internal/proxy/filter/extauthz"
	"github.com/usher-mesh/usher/internal/proxy/filter/fault"
	"github.com/usher-mesh/usher/internal/proxy/filter/filterstate"
	"github.com/usher-mesh/usher/internal/proxy/filter/grpcstats"
	"github.com/usher-mesh/usher/internal/proxy/filter/healthcheck"
	"github.com/usher-mesh/usher/internal/proxy/filter/jwtauthn"
	"github.com/usher-mesh/usher/internal/proxy/filter/localratelimit"
	"github.com/usher-mesh/usher/internal/proxy/filter/ratelimit"
	"github.com/usher-mesh/usher/internal/proxy/filter/rbac"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/takeover"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// proxy is one run.
type proxy struct {
	o       Options
	local   sidecar.Local
	log     *slog.Logger
	started time.Time

	own       *identity.Rotating // nil: the proxy has no identity
	store     *config.Store
	sockets   takeover.Sockets
	listeners *listeners
	keys      *keySets
	client    *xds.Client // nil: there is no ADS
	feeds     *xds.Feeds
	files     filewatch.Watcher
	metrics   *metrics.Registry
	access    *accesslog.Files
	overload  *overload.Manager
	notices   chan struct{} // something may have changed
	quit      context.CancelFunc

	loggers *loggers
	static  map[string]bool // clusters of the bootstrap

	downstream, upstream http2.Counters
	draining             atomic.Bool
	began                chan struct{} // closed when the proxy was ready for the first time
	unwell               atomic.Bool   // health checks of the proxy are to fail
}

// Validate compiles what the bootstrap holds and binds nothing.
func Validate(o Options) error {
	p, err := build(o)
	if err != nil {
		return err
	}
	defer p.close()
	p.listeners.dry = true
	return p.store.Static(o.Bootstrap)
}

// Run serves until ctx ends, and then until what is in flight has ended, for a bounded
// time. Configuration, keys and certificates are kept up to date as long.
func Run(ctx context.Context, o Options) error {
	p, err := build(o)
	if err != nil {
		return err
	}
	defer p.close()
	ending, quit := context.WithCancel(ctx)
	defer quit()
	p.quit = quit
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if o.Takeover != "" {
		if err := p.sockets.Ask(o.Takeover); err != nil {
			return err
		}
		defer p.sockets.GiveUp()
	}
	if err := p.store.Static(o.Bootstrap); err != nil {
		return err
	}
	if p.client == nil {
		p.restore()
	}
	a, err := admin.Start(p.adminAddresses(), p.sockets.Listen, p.adminOptions())
	if err != nil {
		return err
	}
	var untaken error
	if o.Takeover != "" {
		successors, err := p.sockets.Serve(o.Takeover, p.log, quit)
		if err != nil {
			return errors.Join(err, a.Close())
		}
		defer successors.Close()
	}
	var work sync.WaitGroup
	if p.own != nil {
		work.Go(func() { p.report("identity", p.own.Run(ctx)) })
	}
	if p.client != nil {
		work.Go(func() {
			if p.own != nil {
				select {
				case <-p.own.Ready():
					p.changed()
				case <-ctx.Done():
					return
				}
			}
			p.report("xds", p.client.Run(ctx))
		})
	}
	work.Go(func() { p.report("feeds", p.feeds.Run(ctx)) })
	work.Go(func() { p.overload.Run(ctx) })
	work.Go(func() { p.tell(ctx) })
	work.Go(func() { footprint.TrimWhenIdle(ctx) })
	work.Go(func() { p.reopenWhen(ctx, o.Reopen) })
	if p.sockets.Taking() {
		work.Go(func() {
			if untaken = p.take(ending); untaken != nil {
				quit()
			}
		})
	}
	p.changed()
	<-ending.Done()
	p.log.Info("stopping", "limit", p.o.Drain)
	if !p.sockets.Left() { // else it is the successor who is asked whether it is ready
		p.draining.Store(true)
	}
	p.listeners.drain()
	end()
	work.Wait()
	return errors.Join(untaken, a.Close())
}

// reopenWhen reopens the access logs with each signal.
func (p *proxy) reopenWhen(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
			if err := p.access.Reopen(); err != nil {
				p.log.Error("an access log is not reopened", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// take has the proxy that was here before leave when this one is ready.
func (p *proxy) take(ctx context.Context) error {
	t := time.NewTimer(takeover.ReadyWithin)
	defer t.Stop()
	select {
	case <-p.began:
	case <-t.C:
		return errors.New("take over: not ready in time, the other proxy goes on")
	case <-ctx.Done():
		return nil
	}
	if err := p.sockets.Take(); err != nil {
		return err
	}
	p.log.Info("took over")
	return nil
}

// restore puts the last good configuration in force. Where there is a control plane,
// that is for when it does not answer: what it says now may be stricter.
func (p *proxy) restore() {
	if err := p.store.Load(); err != nil {
		p.log.Warn("the last good configuration is not used", "error", err)
	}
}

func (p *proxy) report(what string, err error) {
	if err != nil {
		p.log.Error("a part of the proxy ended", "part", what, "error", err)
	}
}

// build makes the parts and starts none.
func build(o Options) (*proxy, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	p := &proxy{o: o, local: bootstrap.Local(o.Bootstrap), started: time.Now(), notices: make(chan struct{}, 1), began: make(chan struct{}), access: &accesslog.Files{}, static: map[string]bool{}}
	p.loggers = newLoggers(o.Log.Handler(), o.Level)
	p.log = p.loggers.of(logMain)
	for _, c := range o.Bootstrap.GetStaticResources().GetClusters() {
		p.static[c.GetName()] = true
	}
	if err := p.identity(); err != nil {
		return nil, err
	}
	if p.local.AccessLog != "" {
		f, err := accesslog.Open(p.local.AccessLog)
		if err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
		p.access.Stdout = f
	}
	var err error
	if p.overload, err = overload.Compile(o.Bootstrap.GetOverloadManager(), o.Log); err != nil {
		return nil, strict.At("overload_manager", err)
	}
	p.metrics = metrics.New(p.self())
	p.keys = newKeySets(p.snapshot, p.local.CacheDir, p.rejudge, p.metrics, p.loggers.of(logJWT))
	tokens := &jwtauthn.Counters{}
	p.metrics.AddCounters(jwtCounters(tokens, p.keys))
	counts := &counters.Set{}
	p.metrics.AddCounters(counts.List)
	p.metrics.AddCounters(p.clusterGauges)
	current := func(name string) *upstream.Cluster { return p.snapshot().Clusters[name] }
	node := descriptor.Node(o.Bootstrap.GetNode().GetCluster())
	filters := []filter.Factory{
		compressor.Factory(counts),
		cors.Factory(),
		csrf.Factory(counts),
		extauthz.Factory(extauthz.Options{Clusters: current, Counters: counts, Node: o.Bootstrap.GetNode().GetMetadata(), Log: p.loggers.of(logExtAuthz)}),
		fault.Factory(counts),
		filterstate.Factory(),
		grpcstats.Factory(current),
		healthcheck.Factory(o.Bootstrap.GetNode().GetCluster(), p.unwell.Load),
		localratelimit.Factory(counts, node),
		ratelimit.Factory(ratelimit.Options{Clusters: current, Counters: counts, Node: node, Log: p.loggers.of(logRateLimit)}),
		jwtauthn.Factory(jwtauthn.Options{Fetch: p.keys, Counters: tokens, Log: p.loggers.of(logJWT), Now: time.Now}),
		rbac.Factory(counts),
	}
	limits := bootstrap.LimitsOf(o.Bootstrap)
	if limits.Connections != nil {
		p.overload.State().Bound(int64(*limits.Connections))
	}
	p.listeners = newListeners(listener.Options{
		Unwell: p.unwell.Load, Limits: limits.ListenerConnections,
		Filters: filters, Secrets: secrets{p}, Snapshot: p.snapshot, AccessLogs: p.access,
		ProxyCredential: p.credential, Observe: p.metrics.Requests.Observe, ObserveTCP: p.metrics.Requests.ObserveTCP, HTTP2: &p.downstream,
		Overload: p.overload.State(), Node: o.Bootstrap.GetNode(), Counters: counts, Log: p.loggers.of(logHandler), Now: time.Now,
	}, &p.sockets, o.Drain, o.Halt)
	clusters := upstream.Options{Secrets: secrets{p}, DialAllowed: notOwn(o.Bootstrap), HTTP2: &p.upstream, Counters: counts, Warmed: func() { p.store.Recheck() }, Log: p.loggers.of(logUpstreams), Now: time.Now}
	so := config.Options{
		Cluster: func(m *clusterv3.Cluster) (*upstream.Cluster, error) {
			c, err := upstream.Compile(m, clusters)
			if err == nil {
				if err = strict.Validate(m); err != nil {
					c.Close()
					return nil, err
				}
			}
			return c, err
		},
		Route: func(m *routev3.RouteConfiguration) (*route.Table, error) {
			t, err := route.Compile(m, filters)
			if err == nil {
				err = strict.Validate(m)
			}
			return t, err
		},
		Listeners: p.listeners, Source: bootstrap.Source(o.Bootstrap), Counters: counts, OnChange: p.resourcesChanged, Warm: p.keys.warm, Log: p.loggers.of(logConfig),
	}
	if p.own != nil {
		so.Own = p.own
	}
	if p.local.CacheDir != "" {
		so.File = filepath.Join(p.local.CacheDir, "config.pb")
	}
	p.store = config.New(so)
	p.keys.settled = p.store.Recheck
	if p.client, err = p.controlPlane(); err != nil {
		return nil, err
	}
	p.files.Log = p.loggers.of(logConfig)
	p.feeds = xds.NewFeeds(xds.FeedsOptions{
		Hub: p.store, Read: bootstrap.Resources, File: p.files.File, Folder: p.files.Folder, Dial: p.dial, Node: p.node(), Log: p.loggers.of(logConfig),
	})
	p.addMetrics()
	return p, nil
}

// resourcesChanged has those who bring resources asked again what is wanted.
func (p *proxy) resourcesChanged() {
	p.changed()
	p.feeds.Wake()
	if p.client != nil {
		p.client.Wake()
	}
}

func (p *proxy) snapshot() *snapshot.Snapshot { return p.store.Snapshot() }

// rejudge has open connections judged again: keys have changed.
func (p *proxy) rejudge() { p.listeners.Rejudge() }

// credential is what clients of the outbound listener must show; "" refuses all.
func (p *proxy) credential() string {
	if p.local.Credential == "" {
		return ""
	}
	return "usher:" + p.local.Credential
}

// changed has the supervisor told how the proxy is, soon.
func (p *proxy) changed() {
	select {
	case p.notices <- struct{}{}:
	default:
	}
}

// tell tells the supervisor, and gives back memory once the start is over.
func (p *proxy) tell(ctx context.Context) {
	var last Notice
	var trim <-chan time.Time
	first := true
	begun := sync.OnceFunc(func() { close(p.began) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-trim:
			footprint.Trim()
			continue
		case <-p.notices:
		}
		n := p.notice()
		if p.o.Notify != nil && (first || n != last) {
			p.o.Notify(n)
		}
		if n.Ready && !last.Ready {
			p.log.Info("ready", "after", time.Since(p.started).Round(time.Millisecond))
			begun()
		}
		if n.Config != last.Config || n.Ready != last.Ready {
			trim = time.After(trimAfter)
		}
		last, first = n, false
	}
}

func (p *proxy) notice() Notice {
	return Notice{Ready: p.ready(), Config: p.store.Digest(), Acked: p.acked(), Refused: p.store.Refused()}
}

func (p *proxy) acked() bool { return p.client != nil && p.client.Connected() }

// ready: there is configuration, and the identity that it needs.
func (p *proxy) ready() bool {
	if p.own != nil {
		if _, err := p.own.Certificate(); err != nil {
			return false
		}
	}
	return p.store.Ready()
}

func (p *proxy) close() {
	p.listeners.drain()
	p.store.Close()
	if err := p.files.Close(); err != nil {
		p.log.Warn("watching files", "error", err)
	}
	p.keys.close()
	if err := p.access.Close(); err != nil {
		p.log.Warn("access log", "error", err)
	}
}
