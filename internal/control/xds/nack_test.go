package xds

import "testing"

// TestShorten holds that text of a proxy cannot forge lines of a log, or show other
// than it is.
func TestShorten(t *testing.T) {
	for in, want := range map[string]string{
		"listener: bad":                "listener: bad",
		"a\nb\x1b[31mc\x00":            "a b [31mc ",
		"a\u202eb\u2028c\u2029d\ufeff": "a b c d ",
		"\xff":                         "?",
	} {
		if got := shorten(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
