// Package cli is the command line of usher: one file a command. Commands parse,
// ask the packages that do the work, and print; errors go up to Main, which alone
// writes them and chooses the exit status.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Exit statuses of usher itself (DESIGN 4): what was asked makes no sense, and
// what was asked could not be done.
const (
	exitFailure = 1
	exitMisuse  = 2
	// exitOwn is run's and exec's own failure, where any other status is that of
	// the command they ran.
	exitOwn = 125
)

// Main runs one command line and gives the exit status.
func Main(args []string) int {
	root := newRootCmd()
	root.SetArgs(args)
	return report(root.ExecuteContext(context.Background()), os.Stderr)
}

// report prints the error and gives the status for it.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	code := exitFailure
	var exit *ExitError
	if errors.As(err, &exit) {
		code = exit.Code
		err = exit.Err
	}
	if err != nil {
		fmt.Fprintf(stderr, "usher: %v\n", err)
	}
	return code
}

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "usher",
		Short: "A service mesh whose heart is end-user authentication",
		Long: `usher runs a service mesh on this machine: services behind sidecars, a gateway, and an
API that takes Istio's objects from kubectl.

  usher up --detach -f examples/tutorial/usher.yaml
  eval "$(usher env)"
  curl $GATEWAY_URL/customer`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          misuse(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Exit(exitMisuse, fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath()))
	})
	root.AddCommand(
		newUpCmd(), newDownCmd(), newEnvCmd(), newKubectlCmd(),
		newRunCmd(), newExecCmd(), newStopCmd(), newStatusCmd(),
		newProxyConfigCmd(), newTokenCmd(), newVersionCmd(),
	)
	return root
}

// misuse makes an argument check answer with the exit status for misuse.
func misuse(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		if cmd.HasSubCommands() && len(args) > 0 {
			msg := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
			for _, s := range cmd.SuggestionsFor(args[0]) {
				msg += fmt.Sprintf(" (did you mean %q?)", s)
			}
			err = errors.New(msg)
		}
		return Exit(exitMisuse, fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath()))
	}
}
