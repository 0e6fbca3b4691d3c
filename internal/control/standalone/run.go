package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/control/api"
	"github.com/usher-mesh/usher/internal/control/apiserver"
	"github.com/usher-mesh/usher/internal/control/app"
	"github.com/usher-mesh/usher/internal/footprint"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/version"
	"github.com/usher-mesh/usher/internal/workload"
)

// Options of one mesh.
type Options struct {
	Home    home.Dir
	Lock    *os.File // of the home; Run closes it
	APIPort uint16   // 0: the home's own
	// GatewayBind and GatewayPorts: zero and nil keep what the home has, by
	// default 127.0.0.1 and 80=31380, 443=31390. Port 0 is a free one.
	GatewayBind  netip.Addr
	GatewayPorts map[uint16]uint16
	Proxy        string // path of usher-proxy
	// KeyRefresh and KeyMaxAge: of app.Options.
	KeyRefresh, KeyMaxAge time.Duration

	Log *slog.Logger
	// Say tells the user, in a line, what happened; may be called by several
	// goroutines.
	Say func(line string)
}

// startTimeout bounds each part's start.
const startTimeout = 30 * time.Second

// Ready is called once the gateway can take traffic. It gives the workloads that
// it started; its error ends the mesh.
type Ready func(context.Context, *Up, *rest.Config) (started []*workload.Local, err error)

// Run runs the mesh until the context ends or a part of it fails. When the context
// ends, what was started here is stopped in order: workloads, gateway, control
// plane, API server. When a part fails, gateway and workloads go on.
func Run(ctx context.Context, o Options, ready Ready) (err error) {
	defer o.Lock.Close()
	mine, err := own(o.Home)
	if err != nil {
		return err
	}
	defer mine.Close()
	if err := enoughFiles(); err != nil {
		return err
	}
	p, err := readPorts(o.Home)
	if err != nil {
		return err
	}
	gateway, err := o.gateway(p)
	if err != nil {
		return err
	}
	if o.APIPort != 0 {
		p.API = o.APIPort
	}
	l, err := p.listen(o.Home)
	if err != nil {
		return err
	}
	defer l.close()

	server, err := startAPI(ctx, o, l.api)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	// The control plane ends after the workloads, so not with ctx.
	appCtx, stopApp := context.WithCancel(context.WithoutCancel(ctx))
	appDone := make(chan error, 1)
	appReady := make(chan struct{})
	go func() { appDone <- app.Run(appCtx, o.app(server, l, p, func() { close(appReady) })) }()
	defer func() {
		stopApp()
		<-appDone
	}()

	kube, err := kubernetes.NewForConfig(server.AdminConfig())
	if err != nil {
		return err
	}
	if err := createObjects(ctx, kube, p.Issuer); err != nil {
		return err
	}
	select {
	case <-appReady:
	case err := <-appDone:
		appDone <- nil
		return fmt.Errorf("control plane: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(startTimeout):
		return fmt.Errorf("control plane: not ready after %v", startTimeout)
	}
	if err := writeRoot(o.Home); err != nil {
		return err
	}

	registry, err := workload.NewRegistry(server.AdminConfig())
	if err != nil {
		return err
	}
	up := o.up(p, gateway)
	a := &agent{home: o.Home, registry: registry, proxy: o.Proxy, log: o.Log, say: o.Say,
		endpoints: workload.Endpoints{XDS: up.XDS, CA: up.CA, Mirror: up.Mirror}}
	if err := a.startGateway(ctx, gateway); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, a.stop(nil))
		}
		return err
	}
	agentCtx, stopAgent := context.WithCancel(ctx)
	agentDone := make(chan struct{})
	go func() { a.run(agentCtx); close(agentDone) }()
	footprint.Trim() // what the start has left
	go keepSmall(agentCtx)
	stopAll := func(started []*workload.Local) error {
		stopAgent()
		<-agentDone
		return a.stop(started)
	}
	defer stopAgent()

	if err := up.write(o.Home); err != nil {
		return errors.Join(err, stopAll(nil))
	}
	defer os.Remove(o.Home.Up())
	started, err := ready(ctx, up, server.AdminConfig())
	if err != nil {
		return errors.Join(err, stopAll(started))
	}
	select {
	case <-ctx.Done():
		return stopAll(started)
	case err := <-appDone:
		appDone <- nil
		return fmt.Errorf("control plane: %w", err)
	case <-server.Done():
		return fmt.Errorf("API server: %w", server.Err())
	}
}

func startAPI(ctx context.Context, o Options, l net.Listener) (*apiserver.Server, error) {
	sockets, err := o.Home.Sockets()
	if err != nil {
		return nil, err
	}
	// It ends after the workloads, so not with ctx.
	s, err := apiserver.Start(context.WithoutCancel(ctx), apiserver.Options{
		EtcdDir: o.Home.Etcd(), SocketDir: sockets, PKIDir: o.Home.APIPKI(),
		Listener: l, CRDs: api.CRDs(), Validate: api.Validate, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := writeKubeconfig(o.Home, s, ""); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// writeKubeconfig writes the admin's kubeconfig. Its default namespace stays what
// it was.
func writeKubeconfig(h home.Dir, s *apiserver.Server, namespace string) error {
	if old, err := clientcmd.LoadFromFile(h.Kubeconfig()); err == nil {
		if c := old.Contexts[old.CurrentContext]; c != nil {
			namespace = c.Namespace
		}
	}
	data, err := s.Kubeconfig(namespace)
	if err != nil {
		return err
	}
	return atomicfile.Write(h.Kubeconfig(), data, 0o600)
}

// SetNamespace makes the namespace the default of the kubeconfig's context.
func SetNamespace(h home.Dir, namespace string) error {
	cfg, err := clientcmd.LoadFromFile(h.Kubeconfig())
	if err != nil {
		return err
	}
	c := cfg.Contexts[cfg.CurrentContext]
	if c == nil {
		return fmt.Errorf("%s: has no current context", h.Kubeconfig())
	}
	if c.Namespace == namespace {
		return nil
	}
	c.Namespace = namespace
	data, err := clientcmd.Write(*cfg)
	if err != nil {
		return err
	}
	return atomicfile.Write(h.Kubeconfig(), data, 0o600)
}

func (o Options) app(s *apiserver.Server, l *listeners, p *ports, ready func()) app.Options {
	return app.Options{
		Config: s.ControlPlaneConfig(),
		PKIDir: o.Home.MeshPKI(), IssuerDir: o.Home.Issuer(), JWKSDir: o.Home.JWKS(),
		XDS: l.xds, CA: l.ca, Mirror: l.mirror, Issuer: l.issuer,
		DebugSocket: o.debugSocket(),
		UsherPorts:  func() []netip.AddrPort { return ownPorts(o.Home, p) },
		KeyRefresh:  o.KeyRefresh, KeyMaxAge: o.KeyMaxAge,
		Log: o.Log, Ready: ready,
	}
}

func (o Options) debugSocket() string {
	dir, err := o.Home.Sockets()
	if err != nil {
		return "" // startAPI has said so already
	}
	return filepath.Join(dir, "debug.sock")
}

// ownPorts are the ports of usher that no jwksUri may name: the control plane's
// and those of the sidecars' administration. The issuer's is left out.
func ownPorts(h home.Dir, p *ports) []netip.AddrPort {
	lo := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	own := make([]netip.AddrPort, 0, 8)
	for _, port := range []uint16{p.API, p.XDS, p.CA, p.Mirror} {
		own = append(own, netip.AddrPortFrom(lo, port))
	}
	all, err := workload.List(h)
	if err != nil {
		return own
	}
	for _, w := range all {
		for _, s := range []string{w.Spec.Admin, w.Spec.Outbound} {
			if ap, err := netip.ParseAddrPort(s); err == nil {
				own = append(own, ap)
			}
		}
	}
	return own
}

// gateway settles where the gateway's ports are bound, and keeps it.
func (o Options) gateway(p *ports) (workload.Gateway, error) {
	if o.GatewayPorts != nil {
		p.Gateway = maps.Clone(o.GatewayPorts)
	}
	if p.Gateway == nil {
		p.Gateway = map[uint16]uint16{80: 31380, 443: 31390}
	}
	if o.GatewayBind.IsValid() {
		p.GatewayBind = o.GatewayBind
	}
	if !p.GatewayBind.IsValid() {
		p.GatewayBind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	running, err := workload.Find(o.Home, rootNamespace, gatewayName)
	if err != nil {
		return workload.Gateway{}, err
	}
	g := workload.Gateway{
		Namespace: rootNamespace, Name: gatewayName, ServiceAccount: gatewayAccount,
		Labels: maps.Clone(gatewayLabels), Bind: p.GatewayBind.String(), Ports: p.Gateway,
	}
	if running != nil && running.Alive && running.Spec.GatewayBind == g.Bind && samePorts(running.Spec.GatewayPorts, g.Ports) {
		g.Ports = running.Spec.GatewayPorts
		p.Gateway = g.Ports
		return g, nil
	}
	if running != nil && running.Alive {
		if err := workload.Stop(context.Background(), running); err != nil {
			return g, err
		}
	}
	return g, freePorts(g.Bind, g.Ports)
}

// samePorts tells whether what runs is what is asked for; 0 is any port.
func samePorts(have, want map[uint16]uint16) bool {
	return maps.EqualFunc(have, want, func(h, w uint16) bool { return h == w || w == 0 })
}

func (o Options) up(p *ports, g workload.Gateway) *Up {
	at := func(port uint16) string {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String()
	}
	return &Up{
		PID: os.Getpid(), Version: version.Version, API: "https://" + at(p.API),
		XDS: at(p.XDS), CA: at(p.CA), Mirror: at(p.Mirror), Issuer: at(p.Issuer),
		GatewayBind: g.Bind, Gateway: g.Ports,
	}
}
