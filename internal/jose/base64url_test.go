package jose

import (
	"encoding/base64"
	"strings"
	"testing"
)

// FuzzDecode64 holds our decoder against encoding/base64: with spare bits of zero
// it says what Strict says, with others what the lenient one does; but for line
// ends, which that one skips.
func FuzzDecode64(f *testing.F) {
	for _, s := range []string{"", "A", "AA", "AB", "AAA", "AAB", "AAAA", "AAAAA", "-_", "+/", "AA==", "AA\n", "é", "AAAAAAAA=", "\x00AAA", "AAA\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, spare, ok := decode64(make([]byte, size64(s)), s)
		strict, strictErr := base64.RawURLEncoding.Strict().DecodeString(s)
		lenient, lenientErr := base64.RawURLEncoding.DecodeString(s)
		if strings.ContainsAny(s, "\r\n") {
			if ok {
				t.Errorf("%q is taken", s)
			}
			return
		}
		if ok != (lenientErr == nil) || ok && string(got) != string(lenient) {
			t.Errorf("%q: %q, %v; encoding/base64 says %q, %v", s, got, ok, lenient, lenientErr)
		}
		if ok && (spare == 0) != (strictErr == nil) {
			t.Errorf("%q: spare bits %b; encoding/base64 says %q, %v", s, spare, strict, strictErr)
		}
		text, textOK := decode64Text(make([]byte, 8), s)
		if b, ok := decode64Strict(s); ok != textOK || textOK && text != string(b) {
			t.Errorf("%q: %q, %v as text; %q, %v as bytes", s, text, textOK, b, ok)
		}
	})
}
