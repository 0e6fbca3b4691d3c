package cli

import (
	"os"

	"github.com/spf13/cobra"
	kubecli "k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

func newKubectlCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl ...",
		Short: "kubectl, built in, for this mesh's API",
		Long: `kubectl, built in, with the kubeconfig of $USHER_HOME. The real kubectl works the same with
the KUBECONFIG that "usher env" prints.`,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := meshHome()
			if err != nil {
				return err
			}
			if err := os.Setenv("KUBECONFIG", h.Kubeconfig()); err != nil {
				return err
			}
			// kubectl reads os.Args for plugins and completion.
			os.Args = append([]string{"kubectl"}, args...)
			k := cmd.NewDefaultKubectlCommand()
			k.SetArgs(args)
			if err := kubecli.RunNoErrOutput(k); err != nil {
				cmdutil.CheckErr(err) // prints as kubectl does, and exits
			}
			return nil
		},
	}
}
