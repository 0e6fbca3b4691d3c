package etcd

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, dir, sockets string) (*Member, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := Start(ctx, dir, sockets, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Cleanup(m.Close)
	}
	return m, err
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp("", "usher")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

func TestLockedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := shortDir(t)
	m, err := start(t, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(strings.TrimPrefix(m.Endpoint(), "unix://"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v, want mode 0600", fi.Mode(), err)
	}
	if _, err := start(t, dir, s); err == nil || !strings.Contains(err.Error(), dir+": in use by another process") {
		t.Errorf("second start: %v", err)
	}
	m.Close()
	m, err = start(t, dir, s)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	m.Close()
}

func TestDamagedFolder(t *testing.T) {
	good := filepath.Join(t.TempDir(), "data")
	m, err := start(t, good, shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	db := filepath.Join("member", "snap", "db")
	segment := func(t *testing.T, dir string) string {
		l, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
		if err != nil || len(l) == 0 {
			t.Fatal("no wal", err)
		}
		return l[0]
	}
	write := func(t *testing.T, path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"database of zeros":    func(t *testing.T, dir string) { write(t, filepath.Join(dir, db), make([]byte, 20480)) },
		"database of text":     func(t *testing.T, dir string) { write(t, filepath.Join(dir, db), []byte("no database")) },
		"database cut":         func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, db), 9000) },
		"database overwritten": func(t *testing.T, dir string) { fill(t, filepath.Join(dir, db), 8192) },
		"log overwritten":      func(t *testing.T, dir string) { fill(t, segment(t, dir), 64) },
		"log of text":          func(t *testing.T, dir string) { write(t, segment(t, dir), []byte(strings.Repeat("no log ", 1000))) },
		"log gone":             func(t *testing.T, dir string) { os.Remove(segment(t, dir)) },
		"database gone":        func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, db)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			spoil(t, dir)
			m, err := start(t, dir, shortDir(t))
			if err == nil {
				// etcd rebuilds what it can from the log.
				if name == "database gone" {
					m.Close()
					return
				}
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), dir) {
				t.Errorf("error does not name the folder: %v", err)
			}
			t.Log(err)
		})
	}
}

func truncate(t *testing.T, path string, n int64) {
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, path string, from int64) {
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("\xff", int(min(fi.Size()-from, 1<<20)))), from); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadFolder: what the system refuses says nothing of the data.
func TestUnreadFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db := filepath.Join(dir, "member", "snap", "db")
	if err := os.MkdirAll(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("db", db); err != nil { // ELOOP
		t.Fatal(err)
	}
	err := checkBackend(dir)
	if err == nil || !strings.Contains(err.Error(), "cannot be read") || strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v, want what the system said", err)
	}
}
