package harness

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A port that was given out is given to nobody else, refuses connections, and can be
// listened on by its name, by Go as by Envoy.
func TestFreePorts(t *testing.T) {
	seen := map[int]bool{}
	for _, port := range FreePorts(t, 2000) {
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if at := l.Addr().(*net.TCPAddr).Port; seen[at] {
			t.Fatalf("port %d was given to another listener", at)
		}
		l.Close()
	}
	at := fmt.Sprint("127.0.0.1:", FreePorts(t, 1)[0])
	if _, err := net.Dial("tcp", at); err == nil {
		t.Fatal("a port that nobody listens on took a connection")
	}
	plain := net.ListenConfig{}
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); failed != nil {
			return failed
		}
		return err
	}}
	for _, config := range []net.ListenConfig{plain, reuse, plain} {
		l, err := config.Listen(context.Background(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			served, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			served.Close()
			c.Close()
		}
		l.Close()
	}
}
