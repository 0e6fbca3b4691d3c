package proxytest

import (
	"net"
	"testing"
)

// ListenBoth listens on one port over TCP and over UDP until the test ends, as name servers do.
func ListenBoth(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 { // until a port is free in both
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err != nil {
			ln.Close()
			continue
		}
		t.Cleanup(func() { ln.Close(); pc.Close() })
		return ln, pc
	}
	t.Fatal("no port is free over TCP and UDP")
	return nil, nil
}
