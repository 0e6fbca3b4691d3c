package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/version"
)

func newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "usher %s %s/%s %s\n",
				version.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
}
