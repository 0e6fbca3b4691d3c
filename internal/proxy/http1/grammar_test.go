package http1

import (
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	for length := 1; length < 26; length++ {
		for at := range length {
			for c := range 256 {
				for _, fill := range []byte{'a', ' ', '~', 0x80, 0xff, '\t'} {
					b := []byte(strings.Repeat(string([]byte{fill}), length))
					b[at] = byte(c)
					want := c >= 0x20 && c != 0x7f || c == '\t'
					if got := values(string(b)); got != want {
						t.Fatalf("byte %#x at %d of %d among %#x: %v", c, at, length, fill, got)
					}
				}
			}
		}
	}
	if !values("") {
		t.Error("an empty value is none")
	}
}

func BenchmarkValues(b *testing.B) {
	s := strings.Repeat("x", 650)
	for b.Loop() {
		values(s)
	}
}
