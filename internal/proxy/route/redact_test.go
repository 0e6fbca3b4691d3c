package route

import (
	"strings"
	"testing"
)

func TestRedactTokens(t *testing.T) {
	token := "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("aB3-", 20) + "." + strings.Repeat("_zX9", 40)
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{token, "[redacted]"},
		{"/reset/" + token + "/x", "/reset/[redacted]/x"},
		{"/a?t=" + token + "&b=" + token[:100], "/a?t=[redacted]&b=[redacted]"},
		{"/a?t=%20" + token, "/a?t=%[redacted]"},
		// A token that was changed is as secret.
		{"/a?t=" + strings.Replace(token, ".", "%", 2), "/a?t=eyJhbGciOiJSUzI1NiJ9%[redacted]%[redacted]"},
		{"/a?sha512=" + strings.Repeat("0a9b8c7d", 16), "/a?sha512=" + strings.Repeat("0a9b8c7d", 16)},
		{"/" + strings.Repeat("a-long-name-of-a-page-", 9), "/" + strings.Repeat("a-long-name-of-a-page-", 9)},
		{"/" + token[:tokenLength-1], "/" + token[:tokenLength-1]},
	} {
		if got := RedactTokens(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}
