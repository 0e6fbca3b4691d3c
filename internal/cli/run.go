package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/internal/workload"
)

func newRunCmd() *cobra.Command {
	var d workload.Definition
	var detach bool
	cmd := &cobra.Command{
		Use:   "run --service S [flags] -- CMD ARG...",
		Short: "Run a command as a workload of the mesh, behind a sidecar",
		Long: `Runs CMD as a workload: a Service and a WorkloadEntry stand for it in the API, a sidecar
receives for it, and HTTP_PROXY leads its calls through the sidecar, so that
http://preference:8080/ works from inside. CMD listens on 127.0.0.1:$PORT.

Exits with CMD's status (128+n for a signal), 125 for failures of its own.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 0 || len(args) == 0 {
				return Exit(exitMisuse, errors.New("the command stands after --, as in 'usher run --service s -- CMD [ARG]'"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.Service == "" {
				return Exit(exitMisuse, errors.New("--service must be given"))
			}
			d.Command = args
			return own(runWorkload(cmd, &d, detach))
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.Service, "service", "", "name of the Service (required)")
	f.StringVar(&d.Version, "version", "v1", "version label")
	f.StringVarP(&d.Namespace, "namespace", "n", "", "namespace (default: that of the kubeconfig's context)")
	f.StringVar(&d.ServiceAccount, "service-account", "default", "service account, the workload's identity")
	f.StringVar(&d.Name, "name", "", "name of the workload (default SERVICE-VERSION)")
	f.StringArrayVar(&d.Port, "port", nil, "port of the Service as [NAME=]PORT[:APPPORT], or none (repeatable, default 8080)")
	f.StringVar(&d.Protocol, "protocol", "", "protocol of a port without a name: http, http2, grpc, tcp, tls")
	f.StringToStringVar(&d.Label, "label", nil, "label of the workload, k=v (repeatable)")
	f.BoolVar(&d.NoSidecar, "no-sidecar", false, "register the command alone, as a program outside the mesh")
	f.BoolVar(&d.Netns, "netns", false, "capture all traffic in network namespaces of its own (refused: not part of this version)")
	f.BoolVar(&detach, "detach", false, "return when the command listens and its sidecar has configuration")
	return cmd
}

// own gives failures of run's and exec's own the status that no command has.
func own(err error) error {
	var exit *ExitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return Exit(exitOwn, err)
}

func runWorkload(cmd *cobra.Command, d *workload.Definition, detach bool) error {
	ctx := cmd.Context()
	h, up, err := upMesh(ctx)
	if err != nil {
		return err
	}
	ns, err := defaultNamespace(h)
	if err != nil {
		return err
	}
	if d.Dir, err = os.Getwd(); err != nil {
		return err
	}
	if err := d.Complete(ns); err != nil {
		return Exit(exitMisuse, fmt.Errorf("--%w", err))
	}
	bin, err := binDir()
	if err != nil {
		return err
	}
	proxy, err := workload.FindProxy(bin)
	if err != nil {
		return err
	}
	cfg, err := adminConfig(h)
	if err != nil {
		return err
	}
	registry, err := workload.NewRegistry(cfg)
	if err != nil {
		return err
	}
	if detach {
		return runDetached(ctx, cmd, h, up, registry, d, proxy)
	}
	l, err := workload.Prepare(ctx, h, registry, d, endpoints(up), spec.Never)
	if err != nil {
		return err
	}
	// From here this process is the supervisor.
	err = syscall.Exec(proxy, []string{proxy, "supervise", "--dir", string(l.Dir)}, os.Environ())
	return fmt.Errorf("%s: %w", proxy, err)
}

func runDetached(ctx context.Context, cmd *cobra.Command, h home.Dir, up *standalone.Up,
	r *workload.Registry, d *workload.Definition, proxy string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	l, err := workload.Prepare(ctx, h, r, d, endpoints(up), spec.Always)
	if err != nil {
		return err
	}
	if err = workload.Start(l, proxy); err == nil {
		l, err = workload.Await(ctx, h, d.Namespace, d.Name, workloadTimeout, false)
	}
	if err != nil {
		return errors.Join(err, workload.Remove(context.WithoutCancel(ctx), h, r, d.Namespace, d.Name))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "workload %s/%s runs (pid %d)\n", l.Spec.Namespace, l.Spec.Name, l.State.SupervisorPID)
	return nil
}
