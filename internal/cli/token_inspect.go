package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/jose"
)

func newTokenInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect TOKEN|-",
		Short: "Show what a token says, without verifying it",
		Long: `Show a token's header and claims, its times in words, and what looks wrong with it.
Nothing is verified: anybody can write such a token. To verify one: usher token verify.
With - the token is read from standard input, which keeps it out of the process list.`,
		Args: misuse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readToken(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return inspect(cmd.OutOrStdout(), text, time.Now())
		},
	}
}

// inspect prints a token that can be read; what cannot is the error.
func inspect(out io.Writer, text string, now time.Time) error {
	t, err := jose.Parse(text, 4*jose.MaxTokenSize)
	if err != nil {
		return fmt.Errorf("not a token that can be read: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NOT VERIFIED: nobody has checked the signature. Anybody can write such a token.")
	fmt.Fprintln(w, "\nHEADER")
	printMembers(w, t.Header, []string{"alg", "kid", "typ"}, nil, now)
	fmt.Fprintln(w, "\nCLAIMS")
	printMembers(w, t.Claims, []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"},
		map[string]uint64{"exp": t.Expiry, "nbf": t.NotBefore, "iat": t.IssuedAt}, now)
	fmt.Fprintln(w, "\nLOOKS WRONG")
	wrong := oddities(t, now)
	for _, s := range wrong {
		fmt.Fprintf(w, "  - %s\n", s)
	}
	if len(wrong) == 0 {
		fmt.Fprintln(w, "  nothing that can be seen without the key")
	}
	return w.Flush()
}

// printMembers prints the members named first, then the others by name. Those in
// times are said in words too.
func printMembers(w io.Writer, m map[string]any, first []string, times map[string]uint64, now time.Time) {
	var names []string
	for _, n := range first {
		if _, ok := m[n]; ok {
			names = append(names, n)
		}
	}
	head := len(names)
	for n := range m {
		if !slices.Contains(first, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names[head:])
	for _, n := range names {
		text := valueText(m[n])
		if sec, ok := times[n]; ok {
			text += "  (" + moment(sec, now) + ")"
		}
		fmt.Fprintf(w, "  %s\t%s\n", printable(n), text)
	}
}

// valueText gives a string bare and anything else as JSON, safe for a terminal.
func valueText(v any) string {
	if s, ok := v.(string); ok {
		return printable(s)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "?"
	}
	return printable(strings.TrimSuffix(b.String(), "\n"))
}

// longLife is from where on a token's time is worth a remark.
const longLife = 366 * 24 * 3600

// oddities are what a reader should know of a token before trusting its issuer.
func oddities(t *jose.Token, now time.Time) []string {
	var l []string
	add := func(format string, args ...any) { l = append(l, fmt.Sprintf(format, args...)) }
	n := uint64(max(now.Unix(), 0))
	switch {
	case !t.HasExpiry:
		add("it has no exp: it never expires")
	case t.Expiry <= n:
		add("it expired %s ago", words(n-t.Expiry))
	case t.Expiry-n > longLife:
		add("it is good for another %s", words(t.Expiry-n))
	}
	if t.NotBefore > n {
		add("it is not valid before %s from now", words(t.NotBefore-n))
	}
	if t.HasExpiry && t.NotBefore > t.Expiry {
		add("nbf is later than exp: it is never valid")
	}
	if t.IssuedAt > n+60 {
		add("iat is %s in the future", words(t.IssuedAt-n))
	}
	if t.Issuer == "" {
		add("it has no iss: no policy that names an issuer takes it")
	}
	if len(t.Audience) == 0 {
		add("it has no aud: it is for anybody who trusts the issuer")
	}
	if t.KeyID == "" {
		add("it has no kid: every key of the issuer is tried")
	}
	if strings.HasPrefix(string(t.Alg), "HS") {
		add("%s is a shared secret: whoever can verify it can make one", t.Alg)
	}
	return l
}
