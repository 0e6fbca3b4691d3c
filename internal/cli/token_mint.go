package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/control/issuer"
)

// maxSecret bounds the file of a shared secret, in bytes.
const maxSecret = 64 << 10

type mintFlags struct {
	request    issuer.MintRequest
	claims     []string
	claimsJSON []string
	secretFile string
}

func newTokenMintCmd() *cobra.Command {
	var f mintFlags
	cmd := &cobra.Command{
		Use:   "mint --issuer I --subject S",
		Short: "Make a token with the development issuer's key",
		Args:  misuse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.request.Issuer == "" || f.request.Subject == "" {
				return Exit(exitMisuse, errors.New("--issuer and --subject must say whose token it is and whom it is about"))
			}
			if err := f.complete(); err != nil {
				return err
			}
			is, err := openIssuer()
			if err != nil {
				return err
			}
			token, err := is.Mint(f.request)
			if err != nil {
				return requestError(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.request.Issuer, "issuer", "", "iss (required)")
	fl.StringVar(&f.request.Subject, "subject", "", "sub (required)")
	fl.StringArrayVar(&f.request.Audience, "audience", nil, "aud (repeatable)")
	fl.StringArrayVar(&f.claims, "claim", nil, "further claim k=v (repeatable): a number, true or false as such, anything else as text")
	fl.StringArrayVar(&f.claimsJSON, "claim-json", nil, "further claim k=JSON (repeatable), also for text that looks like a number: k='\"5\"'")
	fl.DurationVar(&f.request.TTL, "ttl", time.Hour, "how long it is good for; negative: expired already")
	fl.StringVar(&f.request.Alg, "alg", "RS256", "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, HS256, HS384, HS512")
	fl.StringVar(&f.secretFile, "secret-file", "", "file that holds the secret of HS256, HS384, HS512")
	return cmd
}

// claimValue gives a number or boolean for text that is one in JSON, else the text.
func claimValue(text string) any {
	switch {
	case text == "true", text == "false":
		return text == "true"
	case json.Valid([]byte(text)) && strings.Trim(text, "+-.eE0123456789") == "":
		return json.Number(text)
	}
	return text
}

func (f *mintFlags) complete() error {
	f.request.Claims = map[string]any{}
	for _, c := range f.claims {
		k, v, ok := strings.Cut(c, "=")
		if !ok || k == "" {
			return Exit(exitMisuse, fmt.Errorf("--claim %q: is not of the form k=v", c))
		}
		f.request.Claims[k] = claimValue(v)
	}
	for _, c := range f.claimsJSON {
		k, v, ok := strings.Cut(c, "=")
		if !ok || k == "" {
			return Exit(exitMisuse, fmt.Errorf("--claim-json %q: is not of the form k=JSON", c))
		}
		dec := json.NewDecoder(strings.NewReader(v))
		dec.UseNumber()
		var x any
		err := dec.Decode(&x)
		if err == nil && dec.More() {
			err = errors.New("something comes after it")
		}
		if err != nil {
			return Exit(exitMisuse, fmt.Errorf("--claim-json %s: is no JSON: %w", k, err))
		}
		f.request.Claims[k] = x
	}
	hmac := strings.HasPrefix(f.request.Alg, "HS")
	if hmac != (f.secretFile != "") {
		return Exit(exitMisuse, fmt.Errorf("--secret-file goes with --alg HS256, HS384 and HS512, and they need it"))
	}
	if hmac {
		secret, err := atomicfile.ReadLimited(f.secretFile, maxSecret)
		if err != nil {
			return err
		}
		f.request.Secret = bytes.TrimRight(secret, "\r\n")
	}
	return nil
}
