package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

const (
	sampleKeys  = "../jose/testdata/jwks.json"
	sampleToken = "../jose/testdata/valid.jwt"
)

func runToken(t *testing.T, token string, args ...string) (code int, out, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := newTokenCmd()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(token))
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	err := cmd.ExecuteContext(t.Context())
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case err != nil:
		code = exitFailure
	}
	return code, o.String(), e.String()
}

func TestTokenVerify(t *testing.T) {
	b, err := os.ReadFile(sampleToken)
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	keys, err := os.ReadFile(sampleKeys)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		switch rq.URL.Path {
		case "/keys":
			_, _ = w.Write(keys)
		case "/loop":
			http.Redirect(w, rq, "/loop", http.StatusFound)
		case "/html":
			_, _ = w.Write([]byte("<html>"))
		default:
			http.NotFound(w, rq)
		}
	}))
	defer server.Close()
	for _, c := range []struct {
		name, token string
		flags       []string
		code        int
		first, then string // of stderr
	}{
		{"valid", good, []string{"--jwks", sampleKeys}, 0, "", ""},
		{"valid with issuer", "Bearer " + good, []string{"--jwks", sampleKeys, "--issuer", "testing@secure.istio.io"}, 0, "", ""},
		{"from a URL", good, []string{"--jwks", server.URL + "/keys"}, 0, "", ""},
		{"changed", good[:300] + "A" + good[301:], []string{"--jwks", sampleKeys}, 1, "", ""},
		{"issuer", good, []string{"--jwks", sampleKeys, "--issuer", "x"}, 1, "Jwt issuer is not configured", `"testing@secure.istio.io"`},
		{"audience", good, []string{"--jwks", sampleKeys, "--audience", "x"}, 1, "Audiences in Jwt are not allowed", `"x" is wanted`},
		{"no token", "a.b", []string{"--jwks", sampleKeys}, 1, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections", "2 sections"},
		{"no file", good, []string{"--jwks", "/does/not/exist"}, 3, "", ""},
		{"nothing there", good, []string{"--jwks", server.URL + "/none"}, 3, "", ""},
		{"not keys", good, []string{"--jwks", server.URL + "/html"}, 3, "", ""},
		{"redirects", good, []string{"--jwks", server.URL + "/loop"}, 3, "", ""},
		{"no --jwks", good, nil, 2, "", ""},
	} {
		code, _, stderr := runToken(t, c.token, append(append([]string{"verify"}, c.flags...), "-")...)
		first, then, _ := strings.Cut(stderr, "\n")
		if code != c.code || c.first != "" && first != c.first || !strings.Contains(then, c.then) {
			t.Errorf("%s: exit %d, %q, want %d, %q and %q", c.name, code, stderr, c.code, c.first, c.then)
		}
		if strings.Contains(stderr, "Ak6MA") {
			t.Errorf("%s: the token is shown: %s", c.name, stderr)
		}
	}
}

// The key that the token names is told apart from the others that there are.
func TestNamedKey(t *testing.T) {
	key := func(s string) string {
		return `{"kty":"oct","kid":"` + s + `","k":"` + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(s, 32))) + `"}`
	}
	keys, err := jose.ParseKeySet([]byte(`{"keys":[` + key("a") + "," + key("b") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	for header, want := range map[string]string{
		`{"alg":"HS256","kid":"a"}`: `does not fit the key that it names, oct-256 "a": it was changed`,
		`{"alg":"HS256","kid":"c"}`: `It is signed with HS256 by key "c"; there are oct-256 "a", oct-256 "b".`,
		`{"alg":"HS256"}`:           `is of none of oct-256 "a", oct-256 "b"`,
	} {
		token := part([]byte(header)) + "." + part([]byte(`{"iss":"i"}`)) + "." + part(make([]byte, 32))
		var stderr bytes.Buffer
		_ = (&verifyFlags{}).verify(io.Discard, &stderr, token, keys, time.Now())
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: %s", header, &stderr)
		}
	}
}

func TestClaimValue(t *testing.T) {
	for text, want := range map[string]any{
		"5": json.Number("5"), "-1.5e3": json.Number("-1.5e3"), "true": true, "false": false,
		"": "", "01": "01", "+1": "+1", "1 2": "1 2", " 5": " 5", "0x5": "0x5", "1.2.3": "1.2.3", "null": "null", "True": "True",
		`"5"`: `"5"`, "[1]": "[1]", "{}": "{}", "e": "e", "-": "-", "1e": "1e",
	} {
		if got := claimValue(text); got != want {
			t.Errorf("%q: %#v", text, got)
		}
	}
}

func TestTokenInspect(t *testing.T) {
	b, err := os.ReadFile(sampleToken)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := inspect(&out, strings.TrimSpace(string(b)), time.Unix(4685989700+90061, 0)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT VERIFIED", "alg  RS256", "iss  testing@secure.istio.io", "2118-06-29 23:48:20 UTC, 1 day 1 hour ago", "it expired 1 day 1 hour ago", "it has no aud"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if code, _, _ := runToken(t, "x", "inspect", "-"); code != 1 {
		t.Errorf("a token that cannot be read: exit %d", code)
	}
}
