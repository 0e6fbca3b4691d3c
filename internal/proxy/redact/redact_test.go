package redact

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func TestTokens(t *testing.T) {
	token := "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("aB3-", 20) + "." + strings.Repeat("_zX9", 40)
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{token, "[redacted]"},
		{"/reset/" + token + "/x", "/reset/[redacted]/x"},
		{"/a?t=" + token + "&b=" + token[:100], "/a?t=[redacted]&b=[redacted]"},
		{"/a?t=%20" + token, "/a?t=%[redacted]"},
		{"/a?t=" + strings.ReplaceAll(token, "a", "%61") + "&b", "/a?t=[redacted]&b"},
		{"/a?t=" + escapeAll(token) + "%2", "/a?t=[redacted]%2"},
		// A token that was changed is as secret.
		{"/a?t=" + strings.Replace(token, ".", "%", 2), "/a?t=eyJhbGciOiJSUzI1NiJ9%[redacted]%[redacted]"},
		{"/a?sha512=" + strings.Repeat("0a9b8c7d", 16), "/a?sha512=" + strings.Repeat("0a9b8c7d", 16)},
		{"/" + strings.Repeat("a-long-name-of-a-page-", 9), "/" + strings.Repeat("a-long-name-of-a-page-", 9)},
		{"/" + token[:tokenLength-1], "/" + token[:tokenLength-1]},
	} {
		if got := Tokens(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func escapeAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

// The name of a parameter is read in every way in which somebody may read it.
func TestQuery(t *testing.T) {
	secrets := []exchange.Secret{{Kind: exchange.SecretParam, Name: "a b"}, {Kind: exchange.SecretParam, Name: "t+k"}, {Kind: exchange.SecretParam, Name: "p%q"}, {Kind: exchange.SecretHeader, Name: "x"}}
	for in, want := range map[string]string{
		"/?a+b=s&c=d": "/?a+b=[redacted]&c=d", "/?a%20b=s": "/?a%20b=[redacted]", "/?t+k=s": "/?t+k=[redacted]", "/?t%2bk=s": "/?t%2bk=[redacted]", "/?p%q=s": "/?p%q=[redacted]", "/?p%25q=s": "/?p%25q=[redacted]",
		"/?acc%65ss_token=s": "/?acc%65ss_token=[redacted]", "/?x=s": "/?x=s", "/?access_token": "/?access_token", "/?a+b=s=t&=&": "/?a+b=[redacted]&=&", "/x?": "/x?",
	} {
		if got := Query(in, secrets); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
