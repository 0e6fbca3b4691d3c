package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/workload"
)

// upFlags are the flags of `usher up`.
type upFlags struct {
	files        []string
	detach       bool
	apiPort      uint16
	gatewayPorts string
	gatewayBind  string
	readyFD      int
	lockFD       int
}

func newUpCmd() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [-f FILE]...",
		Short: "Start the mesh on this machine, or apply files to the one that runs",
		Long: `Starts API server, control plane and gateway, then what the files ask for: an usher.yaml names
local workloads and manifests; any other file is a Kubernetes manifest. On a home whose mesh is
up it applies the files and ends.

In the environment PILOT_JWT_PUB_KEY_REFRESH_INTERVAL is the time between fetches of issuers'
keys, and USHER_JWT_PUB_KEY_MAX_AGE how long keys are used while their issuer is away (24h).`,
		Args: misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return f.run(ctx, cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.files, "file", "f", nil, "usher.yaml or Kubernetes manifest to apply (repeatable)")
	fl.BoolVarP(&f.detach, "detach", "d", false, "return when traffic can flow, and leave the mesh running")
	fl.Uint16Var(&f.apiPort, "api-port", 0, "port of the API server (default: a free one, kept)")
	fl.StringVar(&f.gatewayPorts, "gateway-port", "", "ports of the gateway, as PORT=MACHINEPORT,...; 0 is a free one (default 80=31380,443=31390)")
	fl.StringVar(&f.gatewayBind, "gateway-bind", "", "address that the gateway's ports are bound to (default 127.0.0.1)")
	fl.IntVar(&f.readyFD, "ready-fd", 0, "descriptor to report to")
	fl.IntVar(&f.lockFD, "lock-fd", 0, "descriptor of the home's lock")
	for _, own := range []string{"ready-fd", "lock-fd"} {
		if err := fl.MarkHidden(own); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

func (f *upFlags) run(ctx context.Context, out io.Writer) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	plan, err := readPlan(f.files)
	if err != nil {
		return err
	}
	if f.lockFD != 0 {
		if o.Lock, err = standalone.Inherited(f.lockFD); err != nil {
			return err
		}
		return f.foreground(ctx, out, o, plan)
	}
	for ctx.Err() == nil {
		// The lock before anything else: who comes after us sees that a mesh starts.
		o.Lock, err = standalone.Lock(o.Home)
		switch {
		case err == nil && f.detach:
			return detach(ctx, out, o, os.Args[1:])
		case err == nil:
			return f.foreground(ctx, out, o, plan)
		case !errors.Is(err, standalone.ErrLocked):
			return err
		}
		up, err := standalone.Running(ctx, o.Home)
		if err != nil {
			return err
		}
		if up != nil {
			return f.applyToRunning(ctx, out, o, up, plan)
		}
	}
	return ctx.Err()
}

func (f *upFlags) options() (standalone.Options, error) {
	o := standalone.Options{APIPort: f.apiPort}
	var err error
	if o.Home, err = home.Default(); err != nil {
		return o, err
	}
	if err := readEnviron(&o); err != nil {
		return o, err
	}
	bin, err := binDir()
	if err != nil {
		return o, err
	}
	if o.Proxy, err = workload.FindProxy(bin); err != nil {
		return o, err
	}
	if f.gatewayBind != "" {
		if o.GatewayBind, err = netip.ParseAddr(f.gatewayBind); err != nil {
			return o, Exit(exitMisuse, fmt.Errorf("--gateway-bind %q: is no IP address", f.gatewayBind))
		}
	}
	if f.gatewayPorts != "" {
		if o.GatewayPorts, err = parseGatewayPorts(f.gatewayPorts); err != nil {
			return o, Exit(exitMisuse, fmt.Errorf("--gateway-port %q: %w", f.gatewayPorts, err))
		}
	}
	return o, nil
}

func parseGatewayPorts(s string) (map[uint16]uint16, error) {
	m := map[uint16]uint16{}
	used := map[uint16]bool{}
	for _, pair := range strings.Split(s, ",") {
		from, to, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form PORT=MACHINEPORT", pair)
		}
		g, err := strconv.ParseUint(from, 10, 16)
		if err != nil || g == 0 {
			return nil, fmt.Errorf("%q is no port from 1 to 65535", from)
		}
		p, err := strconv.ParseUint(to, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no port from 0 to 65535", to)
		}
		if _, twice := m[uint16(g)]; twice || p != 0 && used[uint16(p)] {
			return nil, fmt.Errorf("%q: the port is there twice", pair)
		}
		m[uint16(g)], used[uint16(p)] = uint16(p), true
	}
	return m, nil
}

// applyToRunning is `usher up` on a home that is up.
func (f *upFlags) applyToRunning(ctx context.Context, out io.Writer, o standalone.Options, up *standalone.Up, plan *plan) error {
	h := o.Home
	if up.Differs(o) {
		fmt.Fprintf(out, "the mesh of %s is up already (pid %d): its ports stay; `usher down` first to change them\n", h, up.PID)
	}
	cfg, err := adminConfig(h)
	if err != nil {
		return err
	}
	say := func(line string) { fmt.Fprintln(out, line) }
	if _, err := plan.apply(ctx, h, up, cfg, say); err != nil {
		return err
	}
	f.report(out, h, up)
	return nil
}

// foreground is the mesh itself, in this process.
func (f *upFlags) foreground(ctx context.Context, out io.Writer, o standalone.Options, plan *plan) error {
	log, closeLog, err := openLog(o.Home)
	if err != nil {
		return err
	}
	defer closeLog()
	var mu sync.Mutex
	o.Log = log
	o.Say = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, line)
	}
	parent := newReporter(f.readyFD)
	defer parent.close()
	if parent != nil {
		o.Say = func(line string) { log.Info(line); parent.say(line) }
	}
	err = standalone.Run(ctx, o, func(ctx context.Context, up *standalone.Up, cfg *rest.Config) ([]*workload.Local, error) {
		started, err := plan.apply(ctx, o.Home, up, cfg, o.Say)
		if err != nil {
			return started, err
		}
		if parent != nil {
			parent.ready()
			return started, nil
		}
		f.report(out, o.Home, up)
		fmt.Fprintln(out, "Ctrl-C stops the mesh.")
		return started, nil
	})
	if errors.Is(err, context.Canceled) {
		parent.failed(errors.New("the mesh was stopped before it was up"))
		return nil
	}
	parent.failed(err)
	return err
}

// report prints where everything is.
func (f *upFlags) report(out io.Writer, h home.Dir, up *standalone.Up) {
	fmt.Fprintf(out, "API         %s\n", up.API)
	if a := up.GatewayAddr(80); a != "" {
		fmt.Fprintf(out, "gateway     http://%s\n", a)
	}
	fmt.Fprintf(out, "kubeconfig  %s\n", h.Kubeconfig())
	fmt.Fprintln(out, `next        eval "$(usher env)"`)
}
