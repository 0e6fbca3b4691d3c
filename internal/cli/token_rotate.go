package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/control/issuer"
	"github.com/usher-mesh/usher/internal/home"
)

func newTokenRotateCmd() *cobra.Command {
	var name, alg string
	cmd := &cobra.Command{
		Use:   "rotate --issuer I",
		Short: "Give the development issuer new keys",
		Long: `Make new keys for an issuer, one for each algorithm that it has tokens of, and sign with
those from now on. The old ones are published until every token that they signed has expired,
so nobody who has a token is refused.`,
		Args: misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return Exit(exitMisuse, errors.New("--issuer must say whose keys"))
			}
			is, err := openIssuer()
			if err != nil {
				return err
			}
			rotated, err := is.Rotate(name, alg)
			if err != nil {
				return requestError(err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			now := time.Now()
			for _, r := range rotated {
				old := "is published no more: no token of it lives"
				if !r.Until.IsZero() {
					old = "is published until " + moment(uint64(r.Until.Unix()), now)
				}
				fmt.Fprintf(w, "%s\tnew key\t%s\n\told key\t%s %s\n", r.Alg, r.New, r.Old, old)
			}
			return w.Flush()
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&name, "issuer", "", "whose keys (required)")
	fl.StringVar(&alg, "alg", "", "the key of this algorithm alone")
	return cmd
}

// openIssuer opens the development issuer of the home.
func openIssuer() (*issuer.Issuer, error) {
	h, err := home.Default()
	if err != nil {
		return nil, err
	}
	return issuer.Open(h.Issuer(), slog.New(slog.DiscardHandler))
}

// requestError is misuse if the error lies in the request.
func requestError(err error) error {
	if errors.Is(err, issuer.ErrRequest) {
		return Exit(exitMisuse, err)
	}
	return err
}
