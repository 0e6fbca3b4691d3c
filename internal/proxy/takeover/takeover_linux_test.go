package takeover

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// serving gives the sockets of a proxy that listens at one port, and where it can be
// taken over from.
func serving(t *testing.T) (s *Sockets, l net.Listener, path string, left chan struct{}) {
	t.Helper()
	s, path, left = &Sockets{}, filepath.Join(t.TempDir(), "s"), make(chan struct{})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	if l, err = s.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := s.Serve(path, slog.New(slog.DiscardHandler), func() { close(left) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, l, path, left
}

// TestWaits holds that who connects while nobody accepts is accepted by the successor,
// and that the successor takes nothing before.
func TestWaits(t *testing.T) {
	_, l, path, left := serving(t)
	var next Sockets
	if err := next.Ask(path); err != nil || !next.Taking() {
		t.Fatal(err)
	}
	n, err := next.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			c, err := n.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case <-accepted:
		t.Fatal("accepted before the predecessor left")
	case <-time.After(50 * time.Millisecond): // nothing is to happen
	}
	if err := next.Take(); err != nil {
		t.Fatal(err)
	}
	<-left
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the predecessor still accepts: %v", err)
	}
	(<-accepted).Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection that waited: %v", err)
	}
}

// TestPredecessorGone holds that a successor takes what it has when the other one is gone.
func TestPredecessorGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var s Sockets
	if err := s.Ask(path); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	n, err := s.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = s.Take()
	}
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
}

// TestRefused holds that a successor learns of a refusal, also when its last words were
// not read.
func TestRefused(t *testing.T) {
	_, _, path, left := serving(t)
	var s, second Sockets
	if err := errors.Join(s.Ask(path), second.Ask(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen("unix", "/nowhere/at/all"); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err) // asked for in vain, then not bound
	}
	if err := second.Take(); err == nil || !strings.Contains(err.Error(), "another proxy takes over") {
		t.Errorf("the second: %v", err)
	}
	if err := s.Take(); err != nil {
		t.Error(err)
	}
	<-left
}

// TestRetired holds that a socket which is about to be closed is not passed on, and
// that one which was is told to be shared until its borrower is gone.
func TestRetired(t *testing.T) {
	s, l, _, _ := serving(t)
	name := "tcp " + l.Addr().String()
	if s.lend(name) == nil {
		t.Fatal("not passed on")
	}
	s.keep()
	s.mu.Lock()
	lent := s.open[name].lent
	s.mu.Unlock()
	if lent {
		t.Error("lent to nobody")
	}
	s.lend(name)
	if !l.(*socket).Retire() {
		t.Error("not shared with whom it was lent to")
	}
	if s.lend(name) != nil {
		t.Error("passed on when it is to be closed")
	}
}

// TestListensAfterwards holds that an address which comes up when the predecessor has left
// is bound.
func TestListensAfterwards(t *testing.T) {
	_, _, path, _ := serving(t)
	var next Sockets
	if err := errors.Join(next.Ask(path), next.Take()); err != nil {
		t.Fatal(err)
	}
	late, err := next.Listen("unix", filepath.Join(t.TempDir(), "late"))
	if err != nil {
		t.Fatal(err)
	}
	late.Close()
}

// TestListensMeanwhile holds that addresses which come up while it leaves do not take the
// answer that it left, nor get another one's.
func TestListensMeanwhile(t *testing.T) {
	_, l, path, _ := serving(t)
	var next Sockets
	if err := next.Ask(path); err != nil {
		t.Fatal(err)
	}
	n, err := next.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	listen := func(name string) {
		late, err := next.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			return
		}
		late.Close()
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { listen(strconv.Itoa(i)) })
	}
	if err := next.Take(); err != nil {
		t.Error(err)
	}
	all.Wait()
}

// TestOneListenerAtATime holds that a socket of the predecessor's is given once, as an
// address can be bound once: else two listeners would accept from one queue.
func TestOneListenerAtATime(t *testing.T) {
	_, l, path, _ := serving(t)
	var next Sockets
	if err := next.Ask(path); err != nil {
		t.Fatal(err)
	}
	n, err := next.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if second, err := next.Listen("tcp", l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the second: %v", err)
		if err == nil {
			second.Close()
		}
	}
	n.Close()
	if n, err = next.Listen("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	n.Close()
}

// TestOtherUser holds that another user is let go on both ends, even where the mode of
// the socket would let it connect.
func TestOtherUser(t *testing.T) {
	harness.NeedRoot(t)
	_, l, path, _ := serving(t)
	for dir := filepath.Dir(path); dir != filepath.Dir(os.TempDir()) && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		const nobody = 65534
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
			got <- e.Error()
			return
		}
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
		if err != nil {
			got <- err.Error()
			return
		}
		defer c.Close()
		c.Write([]byte(`{"version":1,"want":"tcp ` + l.Addr().String() + `"}`))
		n, err := c.Read(make([]byte, 100))
		if n != 0 || err == nil {
			got <- "it is answered"
			return
		}
		got <- ""
	}()
	if s := <-got; s != "" {
		t.Error(s)
	}
}

// TestWildcard holds that a socket of one family is handed over, and to whom asks for that family alone.
func TestWildcard(t *testing.T) {
	s, _, path, _ := serving(t)
	free, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	l, err := s.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var next Sockets
	if err := next.Ask(path); err != nil {
		t.Fatal(err)
	}
	defer next.GiveUp()
	if n, err := next.Listen("tcp", addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("of both families: %v, %v", n, err)
	}
	n, err := next.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got := n.Addr().String(); got != addr {
		t.Errorf("at %s, not %s", got, addr)
	}
}
