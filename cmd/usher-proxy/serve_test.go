package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

// TestMisused: a command that is wrong says what of it is.
func TestMisused(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-l loud -c x", "-l loud: no level"},
		{"-l critical", "-c FILE is missing"},
		{"--log-level warning -c x y", `"y": an argument too many`},
		{"-c x --mode bogus", "--mode bogus: neither serve nor validate"},
		{"-c x --concurrency 1", "flag provided but not defined: -concurrency"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr := os.Stderr
		os.Stderr = w
		code := run(strings.Fields(c.args))
		os.Stderr = stderr
		w.Close()
		out, err := io.ReadAll(r)
		r.Close()
		if err != nil || code != 2 || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %d, %s, %v", c.args, code, out, err)
		}
	}
}
