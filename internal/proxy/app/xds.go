package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// controlPlane makes the line to who configures the proxy; nil if nobody does. The mesh's
// control plane is shown the proxy's identity; any other is spoken to as its cluster says.
func (p *proxy) controlPlane() (*xds.Client, error) {
	name, world := bootstrap.ADS(p.o.Bootstrap)
	if name == "" {
		return nil, nil
	}
	o := xds.Options{Addr: name, World: world, Node: p.node(), Sink: p.store, Log: p.loggers.of(logConfig), OnChange: p.changed, Fallback: p.restore}
	if name != sidecar.XDSCluster {
		o.Dial = func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, name) }
		return xds.New(o), nil
	}
	if p.own == nil {
		return nil, errors.New("dynamic_resources need an identity: layered_runtime names none (token_file, root_file, ca)")
	}
	o.Addr, o.TLS = bootstrap.XDS(p.o.Bootstrap), identity.ClientTLS(p.own, []string{sidecar.ControlPlaneID(p.trust())})
	return xds.New(o), nil
}

// dial opens a connection to a cluster's endpoint, for HTTP/2.
func (p *proxy) dial(ctx context.Context, cluster string) (net.Conn, error) {
	c := p.snapshot().Clusters[cluster]
	if c == nil {
		return nil, fmt.Errorf("cluster %q: there is none", cluster)
	}
	host, err := c.Pick(ctx, upstream.Ask{})
	if err != nil {
		return nil, err
	}
	return host.DialHTTP2(ctx)
}
