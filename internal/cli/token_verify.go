package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/jose"
)

// exitNoKeys is verify's status when there is nothing to verify with.
const exitNoKeys = 3

type verifyFlags struct {
	jwks      string
	issuer    string
	audiences []string
}

func newTokenVerifyCmd() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --jwks FILE|URL TOKEN|-",
		Short: "Verify a token as the proxy would, and explain a refusal",
		Long: `Verify a token's signature, times, issuer and audience as the proxy does.
Exit status: 0 it is valid; 1 it is refused, with the proxy's own words on standard error and
one more sentence that says why; 2 misuse; 3 there are no keys to be had.
With - the token is read from standard input, which keeps it out of the process list.`,
		Args: misuse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.jwks == "" {
				return Exit(exitMisuse, errors.New("--jwks must name a file or a URL with the issuer's keys"))
			}
			text, err := readToken(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			keys, err := loadKeys(cmd.Context(), f.jwks)
			if err != nil {
				return Exit(exitNoKeys, fmt.Errorf("no keys to be had from %s: %w", f.jwks, err))
			}
			return f.verify(cmd.OutOrStdout(), cmd.ErrOrStderr(), text, keys, time.Now())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.jwks, "jwks", "", "file (JWK set or PEM) or URL (JWK set) of the issuer's keys (required)")
	fl.StringVar(&f.issuer, "issuer", "", "iss that the token must have")
	fl.StringArrayVar(&f.audiences, "audience", nil, "aud that the token must be for (repeatable: any of them)")
	return cmd
}

// verify says what it found: to out if the token is valid, else to stderr.
func (f *verifyFlags) verify(out, stderr io.Writer, text string, keys *jose.KeySet, now time.Time) error {
	t, key, err := f.judge(text, keys, now)
	if err != nil {
		fmt.Fprintf(stderr, "%s\n%s\n", jose.KindOf(err), f.explain(err, t, keys, now))
		return &ExitError{Code: exitFailure}
	}
	ends := "never expires"
	if t.HasExpiry {
		ends = "expires " + moment(t.Expiry, now)
	}
	_, err = fmt.Fprintf(out, "valid: signed by %s (%s), %s\n", key, t.Alg, ends)
	return err
}

// judge makes the proxy's checks in the proxy's order. The token is nil if it
// cannot be read.
func (f *verifyFlags) judge(text string, keys *jose.KeySet, now time.Time) (*jose.Token, *jose.Key, error) {
	t, err := jose.Parse(text, 0)
	if err != nil {
		return nil, nil, err
	}
	if f.issuer != "" && t.Issuer != f.issuer {
		return t, nil, &jose.Error{Kind: jose.UnknownIssuer}
	}
	if err := t.CheckTimes(now, jose.DefaultSkew); err != nil {
		return t, nil, err
	}
	if err := jose.NewAudiences(f.audiences).Check(t); err != nil {
		return t, nil, err
	}
	key, err := keys.Verify(t)
	return t, key, err
}
