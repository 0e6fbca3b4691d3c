package format

import "testing"

// TestOtherThanASCII: a line shows bytes outside of ASCII by their numbers, JSON shows letters,
// and what is none as U+FFFD.
func TestOtherThanASCII(t *testing.T) {
	for in, want := range map[string][2]string{
		"plain":     {"plain", "plain"},
		"caf\u00e9": {`caf\xc3\xa9`, "caf\u00e9"},
		"caf\xe9":   {`caf\xe9`, `caf\ufffd`},
		"\u00e9\"":  {`\xc3\xa9\"`, "\u00e9" + `\"`},
	} {
		if got := string(escape([]byte(in), 0)); got != want[0] {
			t.Errorf("%q in a line: %s, want %s", in, got, want[0])
		}
		if got := string(quote([]byte(in), 0)); got != want[1] {
			t.Errorf("%q in JSON: %s, want %s", in, got, want[1])
		}
	}
}
