package ownersocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListen: the socket is its owner's alone, takes the place of one that nobody serves,
// and of nothing else.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v %v", fi, err)
	}
	if _, err := Listen("unix", path); err == nil {
		t.Error("one in use is replaced")
	}
	if _, err := Listen("unixpacket", path); err == nil {
		t.Error("one in use by another protocol is replaced")
	}
	l.Close()
	if l, err = Listen("unix", path); err != nil {
		t.Fatalf("one that was left behind: %v", err)
	}
	l.Close()
}

// TestFilesStay: a path of something else is a mistake, which must not cost a file.
func TestFilesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix", path); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "x" {
		t.Error("the file is gone")
	}
}

// TestBusyStays: a server that is too busy to take a connection is there nevertheless.
func TestBusyStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path) // fills the queue
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if l, err := Listen("unix", path); err == nil {
		l.Close()
		t.Error("its socket is taken away")
	}
}
