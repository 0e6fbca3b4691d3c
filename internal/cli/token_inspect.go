package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jsondoc"
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

// inspect prints a token. One that no proxy could read is printed as far as it can be
// read; one of which nothing can is an error.
func inspect(out io.Writer, text string, now time.Time) error {
	t, err := jose.Parse(text, 4*jose.MaxTokenSize)
	if err != nil {
		t = guess(text)
	}
	if t == nil {
		return fmt.Errorf("not a token that can be read: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NOT VERIFIED: nobody has checked the signature. Anybody can write such a token.")
	fmt.Fprintln(w, "\nHEADER")
	printMembers(w, t.Header, []string{"alg", "kid", "typ"}, now)
	fmt.Fprintln(w, "\nCLAIMS")
	printMembers(w, t.Claims, []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}, now)
	fmt.Fprintln(w, "\nLOOKS WRONG")
	var wrong, notes []string
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("no proxy takes it: %s", err))
	} else {
		wrong, notes = oddities(t, len(text), now), remarks(t)
	}
	for _, s := range wrong {
		fmt.Fprintf(w, "  - %s\n", s)
	}
	if len(wrong) == 0 {
		fmt.Fprintln(w, "  nothing that can be seen without the key")
	}
	if len(notes) > 0 {
		fmt.Fprintln(w, "\nGOOD TO KNOW")
	}
	for _, s := range notes {
		fmt.Fprintf(w, "  - %s\n", s)
	}
	return w.Flush()
}

// guess reads header and claims of what is no good token, nil if it can read neither.
func guess(text string) *jose.Token {
	parts := strings.SplitN(text, ".", 3)
	if len(text) > 4*jose.MaxTokenSize || len(parts) < 2 {
		return nil
	}
	read := func(s string) jsondoc.Value {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err != nil {
			return nil
		}
		v, _ := jsondoc.Parse(string(b))
		return v
	}
	t := &jose.Token{JWS: jose.JWS{Header: read(parts[0])}, Claims: read(parts[1])}
	if t.Header == nil && t.Claims == nil {
		return nil
	}
	return t
}

// times are the claims that are times (RFC 7519, 4.1; OpenID Connect Core 1.0, 2 and
// 5.1).
var times = []string{"exp", "nbf", "iat", "auth_time", "updated_at"}

// printMembers prints the members named first, then the others by name. Times are
// said in words too.
func printMembers(w io.Writer, v jsondoc.Value, first []string, now time.Time) {
	m := maps.Collect(v.All())
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
		if sec, ok := m[n].Number(); ok && slices.Contains(times, n) {
			if f, err := sec.Float64(); err == nil && f >= 0 && f < 1<<63 {
				text += "  (" + moment(uint64(f), now) + ")"
			}
		}
		fmt.Fprintf(w, "  %s\t%s\n", printable(n), text)
	}
	if len(names) == 0 {
		fmt.Fprintln(w, "  none that can be read")
	}
}

// valueText gives a string bare, unless white space would hide an end of it, and
// anything else as JSON, safe for a terminal.
func valueText(v jsondoc.Value) string {
	if s, ok := v.Text(); ok {
		if s == "" || strings.TrimSpace(s) != s {
			return `"` + printable(s) + `"`
		}
		return printable(s)
	}
	return printable(v.JSON())
}
