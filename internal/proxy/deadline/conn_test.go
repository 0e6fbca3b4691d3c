package deadline

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts how often deadlines are armed.
type counted struct {
	net.Conn
	reads, writes int
}

func (c *counted) SetReadDeadline(t time.Time) error {
	c.reads++
	return c.Conn.SetReadDeadline(t)
}

func (c *counted) SetWriteDeadline(t time.Time) error {
	c.writes++
	return c.Conn.SetWriteDeadline(t)
}

// pair gives both ends of a connection, ours counted.
func pair(t *testing.T) (*Conn, *counted, net.Conn) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	c := &counted{Conn: a}
	return New(c), c, b
}

func TestLaterDeadlineIsArmedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n, peer := pair(t)
		start := time.Now()
		for i := range 1000 {
			c.SetReadDeadline(start.Add(time.Minute + time.Duration(i)*time.Second))
			c.SetWriteDeadline(start.Add(time.Minute + time.Duration(i)*time.Second))
		}
		if n.reads != 1 || n.writes != 1 {
			t.Errorf("armed %d and %d times", n.reads, n.writes)
		}
		_, err := c.Read(make([]byte, 1))
		if got, want := time.Since(start), time.Minute+999*time.Second; !errors.Is(err, os.ErrDeadlineExceeded) || got != want {
			t.Errorf("a read ended after %v: %v; want %v", got, err, want)
		}
		c.SetReadDeadline(time.Time{}) // none: armed still is one that has passed
		go func() {
			time.Sleep(time.Hour)
			peer.Write([]byte("x"))
		}()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("a read without deadline: %v", err)
		}
	})
}

func TestEarlierDeadlineInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := pair(t)
		start := time.Now()
		c.SetReadDeadline(start.Add(time.Minute))
		c.SetReadDeadline(start.Add(time.Hour)) // noted
		ended := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		time.Sleep(10 * time.Minute) // the read has armed the hour by now
		c.SetReadDeadline(time.Unix(1, 0))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Minute {
			t.Errorf("a read was interrupted after %v: %v", time.Since(start), err)
		}
		c.SetReadDeadline(time.Now().Add(time.Second)) // who goes on afterwards waits its own time
		if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(start) != 10*time.Minute+time.Second {
			t.Errorf("the next read ended after %v", time.Since(start))
		}
	})
}

// An interrupt must not be lost to a reader that arms its later deadline at the
// same time.
func TestInterruptIsNotLost(t *testing.T) {
	for range 200 {
		a, b := net.Pipe()
		c := New(a)
		c.SetReadDeadline(time.Now().Add(20 * time.Microsecond))
		c.SetReadDeadline(time.Now().Add(time.Hour))
		ended := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		c.SetReadDeadline(time.Unix(1, 0))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		a.Close()
		b.Close()
	}
}

func TestWriteGoesOnBehindAnEarlyDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, peer := pair(t)
		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Second))
		c.SetWriteDeadline(start.Add(time.Hour))
		go func() {
			for _, n := range []int{3, 2} { // a write in two parts, the armed deadline between them
				io.ReadFull(peer, make([]byte, n))
				time.Sleep(time.Minute)
			}
			io.Copy(io.Discard, peer)
		}()
		if n, err := c.Write([]byte("hello world")); n != 11 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		c.SetWriteDeadline(time.Now().Add(-time.Second))
		if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("behind the deadline: %d bytes, %v", n, err)
		}
	})
}

// counting counts the buffers that are out.
type counting struct{ out, most int }

func (c *counting) Get() []byte {
	c.out++
	c.most = max(c.most, c.out)
	return make([]byte, 8)
}

func (c *counting) Put([]byte) { c.out-- }

// tcp gives both ends of a TCP connection.
func tcp(t *testing.T) (*Conn, net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return New(a), b
}

func TestReadLate(t *testing.T) {
	c, peer := tcp(t)
	piped, _, pipe := pair(t)
	for name, ends := range map[string]struct {
		c    *Conn
		peer net.Conn
	}{"TCP": {c, peer}, "a connection without a descriptor": {piped, pipe}} {
		t.Run(name, func(t *testing.T) {
			b := &counting{}
			go ends.peer.Write([]byte("hello world"))
			got := ""
			for len(got) < 11 {
				buf, n, err := ends.c.ReadLate(b)
				if err != nil || n == 0 || b.out != 1 {
					t.Fatalf("%d bytes, %v, %d buffers out", n, err, b.out)
				}
				got += string(buf[:n])
				b.Put(buf)
			}
			if got != "hello world" {
				t.Errorf("read %q", got)
			}
			ends.c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			ends.c.SetReadDeadline(time.Now().Add(60 * time.Millisecond)) // noted
			start := time.Now()
			if buf, n, err := ends.c.ReadLate(b); buf != nil || n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 50*time.Millisecond {
				t.Errorf("nothing came: %d bytes, %v after %v", n, err, time.Since(start))
			}
			ends.c.SetReadDeadline(time.Time{})
			ends.peer.Close()
			if buf, _, err := ends.c.ReadLate(b); buf != nil || err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
			ends.c.Close()
			if buf, _, err := ends.c.ReadLate(b); buf != nil || err == nil || err == io.EOF && name == "TCP" {
				t.Errorf("closed: %v", err)
			}
			if b.out != 0 {
				t.Errorf("%d buffers are kept", b.out)
			}
		})
	}
}

// A connection that waits holds no buffer.
func TestReadLateWaitsWithoutABuffer(t *testing.T) {
	c, peer := tcp(t)
	got := make(chan struct{}, 2)
	b := &watched{got: got}
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.ReadLate(b)
		ended <- err
	}()
	<-got // it has looked once, and given the buffer back
	<-got
	if n := b.out.Load(); n != 0 {
		t.Errorf("%d buffers while it waits", n)
	}
	peer.Write([]byte("x"))
	if err := <-ended; err != nil || b.out.Load() != 1 {
		t.Errorf("%v, %d buffers", err, b.out.Load())
	}
}

// watched tells of each buffer that goes out or comes back.
type watched struct {
	out atomic.Int64
	got chan struct{}
}

func (w *watched) tell() {
	select {
	case w.got <- struct{}{}:
	default:
	}
}

func (w *watched) Get() []byte { w.out.Add(1); w.tell(); return make([]byte, 8) }
func (w *watched) Put([]byte)  { w.out.Add(-1); w.tell() }

func TestErrorsPass(t *testing.T) {
	c, _, peer := pair(t)
	peer.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
	c.Close()
	if err := c.SetReadDeadline(time.Now()); err == nil {
		t.Error("a deadline of a closed connection is no error")
	}
	if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) { // a pipe has none
		t.Errorf("half-close: %v", err)
	}
}

func TestMovingAllocatesNothing(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := New(a)
	d := time.Now().Add(time.Hour)
	c.SetReadDeadline(d)
	if n := testing.AllocsPerRun(100, func() { d = d.Add(1); c.SetReadDeadline(d); c.SetWriteDeadline(d) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// AwaitEnd sees a peer that closes, also behind bytes that nobody has read, and leaves them;
// a deadline ends it, also one that moves to a later time while an earlier one is armed.
func TestAwaitEnd(t *testing.T) {
	for name, sent := range map[string]string{"alone": "", "behind bytes": "abc"} {
		d, peer := tcp(t)
		d.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		d.SetReadDeadline(time.Now().Add(time.Hour))
		ended := make(chan bool, 1)
		go func() { ended <- d.AwaitEnd() }()
		io.WriteString(peer, sent)
		select {
		case <-ended:
			t.Fatalf("%s: it ends before the peer", name)
		case <-time.After(50 * time.Millisecond):
		}
		peer.Close()
		select {
		case is := <-ended:
			if !is && runtime.GOOS == "linux" {
				t.Errorf("%s: not seen", name)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still waiting", name)
		}
		if b, err := io.ReadAll(d); string(b) != sent || err != nil {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	d, _ := tcp(t)
	done := make(chan bool)
	go func() { done <- d.AwaitEnd() }()
	d.SetReadDeadline(time.Unix(1, 0))
	if <-done {
		t.Error("a deadline is taken for an end")
	}
}
