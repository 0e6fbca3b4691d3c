package meshfile

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadTakesRegularFilesAlone(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, t.TempDir(), "/dev/zero"} {
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path+": is no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestIsManifest(t *testing.T) {
	for text, want := range map[string]bool{
		"kind: List\n":                       true,
		"# none\n---\n---\napiVersion: v1\n": true,
		"namespace: a\n":                     false,
		"---\n---\nnamespace: a\n":           false,
		"":                                   false,
		"[a":                                 false,
	} {
		if got := IsManifest([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
