package cli

import "github.com/spf13/cobra"

func newTokenCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Mint, inspect and verify tokens, rotate their keys",
		Args:  misuse(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenMintCmd(), newTokenRotateCmd(), newTokenInspectCmd(), newTokenVerifyCmd())
	return cmd
}
