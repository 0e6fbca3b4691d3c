//go:build linux && !race

// Under the race detector stacks and pools are larger.

package app

import (
	"crypto/ed25519"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// idleCost bounds what a connection costs in heap and stack that has had an answer and waits,
// in bytes. Half of that is the stack.
const idleCost = 8500

func TestIdleConnectionsAreSmall(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	port := startGarbage(t, public)
	// The client's end is a socket alone, which costs nothing here.
	buf, request := make([]byte, 4096), []byte("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	open := func() {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Write(fd, request); err != nil {
			t.Fatal(err)
		}
		n, err := syscall.Read(fd, buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
			t.Fatalf("%q, %v", buf[:max(n, 0)], err)
		}
	}
	for range 10 {
		open()
	}
	const idle = 1000
	before := held()
	for range idle {
		open()
	}
	if each := (held() - before) / idle; each > idleCost || each < 1000 {
		t.Errorf("an idle connection costs %d bytes, above %d", each, idleCost)
	}
}

// held is what is in use of heap and stacks. A collection halves a stack at most.
func held() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
