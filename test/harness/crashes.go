package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noCrashes fails the test if a process of the mesh has panicked or, when it was
// built with the race detector, raced.
func noCrashes(t testing.TB, home string) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(home, "log", "*.log"))
	more, _ := filepath.Glob(filepath.Join(home, "workloads", "*", "*", "proxy.log"))
	for _, p := range append(logs, more...) {
		data, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		for _, sign := range []string{"\npanic: ", "\nfatal error: ", "WARNING: DATA RACE"} {
			if i := bytes.Index(data, []byte(sign)); i >= 0 {
				t.Errorf("%s: %s", strings.TrimPrefix(p, home), data[i:min(i+3000, len(data))])
			}
		}
	}
}
