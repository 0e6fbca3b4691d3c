package cli

import (
	"bytes"
	"encoding/base64"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestInspectGolden shows each token of testdata/inspect.txtar, which is written
// there as its header and payload, at noon of 2026-01-01 UTC.
func TestInspectGolden(t *testing.T) {
	const file = "testdata/inspect.txtar"
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for i := 0; i+1 < len(a.Files); i += 2 {
		name := a.Files[i].Name
		if a.Files[i+1].Name != name+".out" {
			t.Fatalf("after %s comes %s, not its output", name, a.Files[i+1].Name)
		}
		var parts []string
		for l := range strings.Lines(string(a.Files[i].Data)) {
			parts = append(parts, base64.RawURLEncoding.EncodeToString([]byte(strings.TrimSuffix(l, "\n"))))
		}
		token := strings.Join(append(parts, "c2lnbmF0dXJl"), ".")
		var out bytes.Buffer
		if err := inspect(&out, token, now); err != nil {
			out.Reset()
			out.WriteString("error: " + err.Error() + "\n")
		}
		if strings.Contains(out.String(), token[strings.LastIndexByte(token, '.'):]) {
			t.Errorf("%s: the signature is shown", name)
		}
		// Escapes of a terminal are not passed on.
		if strings.ContainsAny(out.String(), "\x1b\x07\r") {
			t.Errorf("%s: control characters are shown", name)
		}
		if bytes.Equal(out.Bytes(), a.Files[i+1].Data) {
			continue
		}
		if *update {
			a.Files[i+1].Data, changed = bytes.Clone(out.Bytes()), true
			continue
		}
		t.Errorf("%s: %s", name, cmp.Diff(string(a.Files[i+1].Data), out.String()))
	}
	if changed {
		if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
