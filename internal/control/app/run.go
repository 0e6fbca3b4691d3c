package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/dynamic"

	"github.com/usher-mesh/usher/internal/control/ca"
	"github.com/usher-mesh/usher/internal/control/issuer"
	"github.com/usher-mesh/usher/internal/control/mirror"
	"github.com/usher-mesh/usher/internal/control/status"
	"github.com/usher-mesh/usher/internal/control/xds"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/identity"
)

// Run is a control plane until ctx ends or one of its parts fails. It stops in
// order: first it reads no more objects, then proxies are let go, then what they
// and workloads may still ask for (certificates, keys) ends, and the debug socket
// last. It returns nil if ctx ended it.
func Run(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		closeAll(o.XDS, o.CA, o.Mirror, o.Issuer)
		return fmt.Errorf("control plane: %w", err)
	}
	p, err := build(o)
	if err != nil {
		closeAll(o.XDS, o.CA, o.Mirror, o.Issuer)
		return fmt.Errorf("control plane: %w", err)
	}
	if err := p.run(ctx); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	return nil
}

// plane is the control plane's parts.
type plane struct {
	o         Options
	authority *ca.Authority
	own       identity.Source
	reviewer  *reviewer
	issuer    *issuer.Issuer
	mirror    *mirror.Mirror
	xds       *xds.Server
	status    *status.Writer
	pipeline  *pipeline
	registry  *prometheus.Registry
}

func build(o Options) (*plane, error) {
	p := &plane{o: o, registry: newRegistry()}
	var err error
	if p.authority, err = ca.Open(o.PKIDir, ca.Options{Log: o.Log}); err != nil {
		return nil, err
	}
	trust := p.authority.TrustDomain().Name()
	id, err := identity.ControlPlane(trust)
	if err != nil {
		return nil, err
	}
	if p.own, err = p.authority.ServerSource(id, []string{"istiod.istio-system.svc", "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, err
	}
	if p.reviewer, err = newReviewer(o.Config); err != nil {
		return nil, err
	}
	if p.issuer, err = issuer.Open(o.IssuerDir, o.Log); err != nil {
		return nil, err
	}
	p.pipeline = newPipeline(o, xdsgen.New(xdsgen.Options{MirrorAddr: addrPort(o.Mirror)}))
	p.mirror, err = mirror.New(mirror.Options{
		Dir: o.JWKSDir, Refresh: o.KeyRefresh, MaxAge: o.KeyMaxAge, Resolve: p.pipeline.resolve,
		Allow:    mirror.Policy{UsherPorts: o.UsherPorts, Issuer: addrPort(o.Issuer), Loopback: true},
		OnChange: func(string) { p.pipeline.keysChanged() },
		Log:      o.Log.With("part", "mirror"),
	})
	if err != nil {
		return nil, err
	}
	p.xds, err = xds.New(xds.Options{
		TLS: identity.ServerTLS(p.own, nil), Generator: p.pipeline.generator, TrustDomain: trust,
		Log: o.Log.With("part", "xds"),
	})
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(unlimited(o.Config))
	if err != nil {
		return nil, err
	}
	p.status = status.New(status.Options{
		Client: client, Proxies: p.xds, Resources: customResources(), Log: o.Log.With("part", "status"),
	})
	p.pipeline.attach(p.mirror, p.xds, p.status)
	p.registry.MustRegister(p.xds.Collectors()...)
	p.registry.MustRegister(p.pipeline.collectors()...)
	p.registry.MustRegister(p.mirror.Collectors()...)
	return p, nil
}

// run starts the parts from the last to stop to the first, and stops them in the
// other order.
func (p *plane) run(ctx context.Context) error {
	failed := make(chan error, 16)
	var stops []func()
	start := func(name string, f func(context.Context) error) {
		// Parts outlive ctx: each is stopped when its turn comes.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		wg.Go(func() {
			err := f(own)
			if own.Err() == nil {
				if err == nil {
					err = errors.New("ended by itself")
				}
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
		stops = append(stops, func() {
			cancel()
			wg.Wait()
		})
	}
	start("debug socket", p.serveDebug)
	start("issuer", p.serveIssuer)
	start("mirror's fetches", p.mirror.Run)
	start("mirror", p.serveMirror)
	start("certificate authority", p.serveCA)
	start("status", p.status.Run)
	start("key set warnings", p.pipeline.warn)
	start("xds", func(ctx context.Context) error { return p.xds.Serve(ctx, p.o.XDS) })
	start("source", p.pipeline.run)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	return err
}

func closeAll(all ...net.Listener) {
	for _, l := range all {
		if l != nil {
			_ = l.Close() // nothing was served yet
		}
	}
}

func addrPort(l net.Listener) netip.AddrPort {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
