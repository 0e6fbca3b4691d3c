package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
	"github.com/usher-mesh/usher/internal/workload"
)

func newStopCmd() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "stop WORKLOAD",
		Short: "Stop a workload",
		Args:  misuse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, _, err := upMesh(cmd.Context())
			if err != nil {
				return err
			}
			l, err := findWorkload(h, namespace, args[0])
			if err != nil {
				return err
			}
			if l.Spec.Kind == spec.Gateway {
				return fmt.Errorf("%q is the mesh's gateway: it stops with `usher down`", args[0])
			}
			cfg, err := adminConfig(h)
			if err != nil {
				return err
			}
			registry, err := workload.NewRegistry(cfg)
			if err != nil {
				return err
			}
			if err := workload.Remove(cmd.Context(), h, registry, l.Spec.Namespace, l.Spec.Name); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "stopped %s/%s\n", l.Spec.Namespace, l.Spec.Name)
			return nil
		},
	}
	namespaceFlag(cmd, &namespace)
	return cmd
}

func namespaceFlag(cmd *cobra.Command, namespace *string) {
	cmd.Flags().StringVarP(namespace, "namespace", "n", "", "namespace (default: that of the kubeconfig's context)")
}

// findWorkload gives the local workload of that name, which may stand behind its
// namespace and a slash, or says how to find those that there are.
func findWorkload(h home.Dir, namespace, name string) (*workload.Local, error) {
	if ns, short, ok := strings.Cut(name, "/"); ok {
		if namespace != "" && namespace != ns {
			return nil, Exit(exitMisuse, fmt.Errorf("workload %q: --namespace says %q", name, namespace))
		}
		namespace, name = ns, short
	}
	if namespace == "" {
		var err error
		if namespace, err = defaultNamespace(h); err != nil {
			return nil, err
		}
	}
	l, err := workload.Find(h, namespace, name)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, fmt.Errorf("there is no workload %q in namespace %q on this machine: `usher status` lists them; "+
			"one of another namespace is NAMESPACE/NAME, or -n NAMESPACE", name, namespace)
	}
	return l, nil
}
