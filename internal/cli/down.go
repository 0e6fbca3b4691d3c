package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/control/standalone"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/workload"
)

func newDownCmd() *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the mesh and all its workloads",
		Long: `Stops all workloads of this home, detached or not, the gateway, and the control plane. The
objects in the API stay for the next "usher up"; --purge deletes the home with all of them.`,
		Args: misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := home.Default()
			if err != nil {
				return err
			}
			up, err := standalone.Running(cmd.Context(), h)
			if err != nil && !errors.Is(err, standalone.ErrStarting) {
				return err
			}
			var registry *workload.Registry
			if up != nil {
				cfg, err := adminConfig(h)
				if err != nil {
					return err
				}
				if registry, err = workload.NewRegistry(cfg); err != nil {
					return err
				}
			}
			ran, err := standalone.Down(cmd.Context(), h, registry)
			if err != nil {
				return err
			}
			if ran {
				fmt.Fprintf(cmd.OutOrStdout(), "stopped the mesh of %s\n", h)
			}
			deleted := false
			if purge {
				if deleted, err = purgeHome(h); err != nil {
					return err
				}
			}
			switch {
			case deleted:
				fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", h)
			case purge:
				fmt.Fprintf(cmd.OutOrStdout(), "there is no %s\n", h)
			case !ran:
				fmt.Fprintf(cmd.OutOrStdout(), "nothing was running in %s\n", h)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "delete the home folder with everything in it")
	return cmd
}

// purgeHome deletes the home, and tells whether there was one. A folder that never
// was one is left alone: USHER_HOME may have been set to the wrong place. Of a link it
// is the folder that goes, with the keys in it, and then the link.
func purgeHome(h home.Dir) (bool, error) {
	real, err := filepath.EvalSymlinks(string(h))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, mark := range []string{h.Lock(), h.APIPKI()} {
		if _, err := os.Stat(mark); err != nil {
			return false, fmt.Errorf("%s is no usher home (there is no %s): not deleted", h, mark)
		}
	}
	if sockets, err := h.Sockets(); err == nil {
		if err := os.RemoveAll(sockets); err != nil {
			return false, err
		}
	}
	return true, errors.Join(os.RemoveAll(real), os.RemoveAll(string(h)))
}
