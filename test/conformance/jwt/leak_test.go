package jwt

import (
	"regexp"
	"strings"
	"testing"
)

// piece is how much of a signature counts as shown: 256 bits, so nothing has it by
// chance.
const piece = 43

var (
	signature = regexp.MustCompile(`[\w-]{8,}(?:\.|%2[eE])[\w-]{8,}(?:\.|%2[eE])([\w-]{43,})`)
	words     = regexp.MustCompile(`[\w-]{43,}`)
)

// searchSignatures wants none of the requests' signatures in what a program wrote.
func searchSignatures(t *testing.T, all []*request, wrote map[string]string) {
	t.Helper()
	known := map[string]bool{}
	for _, r := range all {
		text := r.path
		for _, h := range r.headers {
			text += " " + h[1]
		}
		for _, m := range signature.FindAllStringSubmatch(text, -1) {
			known[m[1][:piece]] = true
		}
	}
	if len(known) < 1000 {
		t.Errorf("only %d signatures were presented", len(known))
	}
	for where, text := range wrote {
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s is empty: nothing was searched", where)
		}
		for _, w := range words.FindAllString(text, -1) {
			for i := 0; i+piece <= len(w); i++ {
				if known[w[i:i+piece]] {
					t.Errorf("%s holds a signature", where)
					return
				}
			}
		}
	}
}
