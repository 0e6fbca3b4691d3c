package listener

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/bpf"
)

// TestNoSYN holds what the filter drops: a SYN alone, whatever else is set with it.
func TestNoSYN(t *testing.T) {
	vm, err := bpf.NewVM(noSYN)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		flags byte
		taken bool
	}{
		"SYN": {0x02, false}, "SYN, ECE, CWR": {0xc2, false}, "ACK": {0x10, true}, "ACK, PSH": {0x18, true},
		"SYN, ACK": {0x12, true}, "RST": {0x04, true}, "FIN, ACK": {0x11, true},
	} {
		header := make([]byte, 20)
		header[13] = tt.flags
		if n, err := vm.Run(header); err != nil || n > 0 != tt.taken {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}

// TestRefuseNew: who comes while the queue is emptied is not taken.
func TestRefuseNew(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := refuseNew(ln.(*net.TCPListener)); errors.Is(err, errors.ErrUnsupported) {
		t.Log("this kernel has no filters for sockets: of what it would do TestNoSYN alone tells")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", ln.Addr().String(), 200*time.Millisecond)
	if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("%v, want silence", err)
	}
	if err == nil {
		c.Close()
	}
}
