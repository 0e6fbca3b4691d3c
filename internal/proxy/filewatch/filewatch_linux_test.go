package filewatch

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMoves: what is moved to the file, or into the folder, is told of; what is created,
// written or linked in place is not, nor what is moved beside.
func TestMoves(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	w := &Watcher{}
	t.Cleanup(func() { w.Close() })
	told := make(chan string, 100)
	add := func(f func(string, func()) (func(), error), path, name string) func() {
		t.Helper()
		stop, err := f(path, func() { told <- name })
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	next := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q is not told", want)
		}
	}
	write := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	move := func(to string) {
		t.Helper()
		from := filepath.Join(other, "from")
		write(from)
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	stop := add(w.File, a, "a")
	add(w.File, b, "b")
	write(a) // created, and written again
	write(a)
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b, a); err != nil {
		t.Fatal(err)
	}
	move(filepath.Join(dir, "c"))
	move(b) // the first that is told of
	next("b")
	move(a)
	next("a")
	stop()
	move(a)
	move(b)
	next("b")
	// A folder that many watch is watched as long as one does, under each of its names.
	link := filepath.Join(other, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	stop = add(w.Folder, link, "folder")
	move(filepath.Join(dir, "c"))
	next("folder")
	stop()
	move(b)
	next("b")
	if _, err := w.Folder(filepath.Join(dir, "none"), nil); err == nil {
		t.Error("a folder is watched that is not there")
	}
	if _, err := w.Folder(a, nil); err == nil {
		t.Error("a file is watched as a folder")
	}
}

// TestLost: when the kernel has lost events, anything may have happened; of a folder that is
// removed or renamed it is said that nothing more is told of it, and it is forgotten.
func TestLost(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	w := &Watcher{Log: slog.New(slog.NewTextHandler(&said, nil))}
	t.Cleanup(func() { w.Close() })
	told := make(chan string, 100)
	stop, err := w.File(filepath.Join(dir, "a"), func() { told <- "a" })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	w.happened(event{folder: -1, lost: true})
	if len(told) != 1 {
		t.Fatal("not told")
	}
	<-told
	for name, leave := range map[string]func(string) error{
		"removed": os.Remove, "renamed": func(path string) error { return os.Rename(path, path+"-away") },
	} {
		gone := filepath.Join(dir, name)
		if err := os.Mkdir(gone, 0o700); err != nil {
			t.Fatal(err)
		}
		stop, err := w.Folder(gone, func() { told <- name })
		if err != nil {
			t.Fatal(err)
		}
		if err := leave(gone); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			w.mu.Lock()
			n, line := len(w.folders), said.String()
			w.mu.Unlock()
			if n == 1 && strings.Contains(line, gone) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d folders, said: %s", name, n, line)
			}
		}
		stop()
	}
	// What is moved into the folder that has another name now is told to nobody.
	from := filepath.Join(dir, "from")
	for _, to := range []string{filepath.Join(dir, "renamed-away", "x"), filepath.Join(dir, "a")} {
		if err := os.WriteFile(from, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-told; got != "a" {
		t.Errorf("told of %q", got)
	}
}
