package cli

import (
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"
)

func newEnvCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: `Print the mesh's addresses for eval "$(usher env)"`,
		Args:  misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, up, err := upMesh(cmd.Context())
			if err != nil {
				return err
			}
			vars := [][2]string{{"USHER_HOME", string(h)}, {"KUBECONFIG", h.Kubeconfig()}}
			if a := up.GatewayAddr(80); a != "" {
				host, port, _ := net.SplitHostPort(a)
				vars = append(vars, [][2]string{{"GATEWAY_URL", a}, {"INGRESS_HOST", host}, {"INGRESS_PORT", port}}...)
			}
			if a := up.GatewayAddr(443); a != "" {
				_, port, _ := net.SplitHostPort(a)
				vars = append(vars, [][2]string{{"SECURE_GATEWAY_URL", a}, {"SECURE_INGRESS_PORT", port}}...)
			}
			for _, v := range vars {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "export %s=%s\n", v[0], shellQuote(v[1])); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// shellQuote makes a word that a POSIX shell reads as s.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:@+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
