package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/proxy/supervise/environ"
)

func newExecCmd() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "exec WORKLOAD -- CMD ARG...",
		Short: "Run a command as a workload: its identity, its way out",
		Long: `Runs CMD with the environment of a workload, so that its calls go out through the workload's
sidecar and with its identity:

  usher exec customer-v1 -- curl http://preference:8080/

Exits with CMD's status (128+n for a signal), 125 for failures of its own.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 1 || len(args) < 2 {
				return Exit(exitMisuse, errors.New("the form is 'usher exec WORKLOAD -- CMD [ARG]'"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return own(execIn(namespace, args[0], args[1:]))
		},
	}
	namespaceFlag(cmd, &namespace)
	return cmd
}

func execIn(namespace, name string, command []string) error {
	h, err := meshHome()
	if err != nil {
		return err
	}
	l, err := findWorkload(h, namespace, name)
	if err != nil {
		return err
	}
	if !l.Alive {
		return fmt.Errorf("workload %s/%s does not run", l.Spec.Namespace, l.Spec.Name)
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	err = syscall.Exec(path, command, environ.For(l.Spec, os.Environ()))
	return fmt.Errorf("%s: %w", path, err)
}
