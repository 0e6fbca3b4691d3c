package tls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// TestDataIsBounded: a control plane names files, and not only such that have an end.
func TestDataIsBounded(t *testing.T) {
	dir := t.TempDir()
	for size, fits := range map[int]bool{maxData: true, maxData + 1: false} {
		file := filepath.Join(dir, "f")
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Data(&corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: file}})
		if fits && len(b) != size || fits != (err == nil) {
			t.Errorf("%d bytes: %d read, %v", size, len(b), err)
		}
	}
	_, err := Data(&corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "/dev/zero"}})
	if err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
		t.Errorf("a device: %v", err)
	}
}
