package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "f")
	for _, content := range []string{"one", "another, longer", ""} {
		if err := Write(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadLimited(p, 100)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	fi, err := os.Stat(p)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("temporary files are left: %v, %v", left, err)
	}
}

func TestWriteFailureLeavesTheOld(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "d")
	if err := os.Mkdir(p, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(p, []byte("x"), 0o600); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("temporary files are left: %v, %v", left, err)
	}
}

func TestReadLimited(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	if err := Write(p, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLimited(p, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLimited(p, 4); err == nil || !strings.HasSuffix(err.Error(), "bigger than 4 bytes") {
		t.Fatalf("error %v", err)
	}
	if _, err := ReadLimited(filepath.Dir(p), 4); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
		t.Fatalf("error %v", err)
	}
}

// TestReadLimitedTakesFilesAlone: neither what has no end, nor what waits for a writer.
func TestReadLimitedTakesFilesAlone(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{fifo, "/dev/zero"} {
		if _, err := ReadLimited(p, 4); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
			t.Errorf("%s: error %v", p, err)
		}
	}
}
