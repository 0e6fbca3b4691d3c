package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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
	fl.StringVar(&f.jwks, "jwks", "", "file or URL of the key set (JWK set or PEM) (required)")
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
	fmt.Fprintf(out, "valid: signed by %s (%s)", key, t.Alg)
	if t.HasExpiry {
		fmt.Fprintf(out, ", expires %s", moment(t.Expiry, now))
	}
	fmt.Fprintln(out)
	return nil
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

// explain is the sentence after the status.
func (f *verifyFlags) explain(err error, t *jose.Token, keys *jose.KeySet, now time.Time) string {
	switch jose.KindOf(err) {
	case jose.Expired:
		return fmt.Sprintf("Its exp was %s.", moment(t.Expiry, now))
	case jose.NotYetValid:
		return fmt.Sprintf("Its nbf is %s.", moment(t.NotBefore, now))
	case jose.UnknownIssuer:
		return fmt.Sprintf("Its issuer is %q; %q is wanted.", t.Issuer, f.issuer)
	case jose.AudienceNotAllowed:
		return fmt.Sprintf("It is for %s; %s is wanted.", quoteList(t.Audience), quoteList(f.audiences))
	case jose.NoMatchingKey:
		return fmt.Sprintf("It wants a key %q for %s; there are %s.", t.KeyID, t.Alg, keyList(keys))
	case jose.VerificationFailed:
		return fmt.Sprintf("Its signature (%s) does not fit the key that it names, %q, of %s: it was changed, or signed by another key.",
			t.Alg, t.KeyID, keyList(keys))
	}
	var e *jose.Error
	if errors.As(err, &e) && e.Detail != "" {
		return "It was refused since " + strings.TrimSuffix(e.Detail, ".") + "."
	}
	return "It was changed on its way, or is not a signed token at all."
}

func quoteList(l []string) string {
	if len(l) == 0 {
		return "nobody in particular"
	}
	q := make([]string, len(l))
	for i, s := range l {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}

// maxListed bounds the keys that an explanation names.
const maxListed = 10

func keyList(keys *jose.KeySet) string {
	var l []string
	for i, k := range keys.Keys() {
		if i == maxListed {
			l = append(l, fmt.Sprintf("%d more", keys.Len()-maxListed))
			break
		}
		l = append(l, k.String())
	}
	return strings.Join(l, ", ")
}

func loadKeys(ctx context.Context, from string) (*jose.KeySet, error) {
	var text []byte
	var err error
	if strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://") {
		text, err = fetchKeys(ctx, from)
	} else {
		text, err = readKeys(from)
	}
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.TrimSpace(string(text)), "-----BEGIN ") {
		keys, err := jose.ParsePEM(text)
		return jose.NewKeySet(keys...), err
	}
	return jose.ParseKeySet(text)
}
