package harness

import (
	"net"
	"testing"
)

// FreePorts gives ports of 127.0.0.1 that nobody listens on at the moment.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}
