package http1

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/deadline"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// TestGather: content that has come is whole, though it is larger than what is read
// with the head; what has not come is not waited for, and nothing is lost either way.
func TestGather(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, tt := range []struct {
		declared, sent int
		whole          bool
	}{{10, 10, true}, {4000, 4000, true}, {16 << 10, 16 << 10, true}, {64 << 10, 64 << 10, true}, {16 << 10, 9000, false}, {5000, 0, false}, {70_000, 70_000, false}} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		content := strings.Repeat("0123456789", 7000)[:tt.declared]
		head := fmt.Sprintf("POST /path HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\nContent-Length: %d\r\n\r\n", strings.Repeat("v", 500), tt.declared)
		io.WriteString(c, head+content[:tt.sent])
		const more = "GET /next HTTP/1.1\r\nHost: b\r\n\r\n"
		r := NewReader(deadline.New(nc), nil)
		var received counters.Counter
		r.Received = &received
		var rq exchange.Request
		if err := fillHead(r); err != nil {
			t.Fatal(err)
		}
		if err := r.Request(&rq); err != nil {
			t.Fatal(err)
		}
		b := rq.Body.(*Body)
		got, whole := b.Whole()
		if whole != tt.whole || whole && string(got) != content {
			t.Errorf("%d of %d bytes: whole %v", tt.sent, tt.declared, whole)
		}
		io.WriteString(c, content[tt.sent:]+more)
		if all, err := io.ReadAll(b); err != nil || string(all) != content {
			t.Errorf("%d of %d bytes: read %d, %v", tt.sent, tt.declared, len(all), err)
		}
		if rq.Path != "/path" || rq.Authority != "a" || rq.Header.Get("x-long") != strings.Repeat("v", 500) {
			t.Errorf("%d of %d bytes: the head has changed: %+v", tt.sent, tt.declared, rq)
		}
		if n := received.Load(); n < uint64(len(head+content)) || n != uint64(len(head+content)+r.Buffered()) {
			t.Errorf("%d of %d bytes: %d are counted", tt.sent, tt.declared, n)
		}
		r.Next()
		rq = exchange.Request{}
		if _, err := readRequest(r, &rq); err != nil || rq.Path != "/next" {
			t.Errorf("%d of %d bytes: the next request: %v %+v", tt.sent, tt.declared, err, rq)
		}
		r.Close()
		nc.Close()
		c.Close()
	}
}

// socketPair gives both ends of a connection on which what was written is there to be read.
func socketPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() { ends[i].Close() })
		ends[i].SetDeadline(time.Now().Add(10 * time.Second))
	}
	return ends[0], ends[1]
}

// message is a request with so much content.
func message(content int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", content, strings.Repeat("x", content))
}

// TestRoomAsTheLastMessage: there is room at once for a message like the last one, unless that
// was larger than a large buffer; one of which little has come holds little.
func TestRoomAsTheLastMessage(t *testing.T) {
	for _, tt := range []struct{ content, room int }{{0, buffer.Small}, {3000, buffer.Small}, {8 << 10, buffer.Medium}, {16 << 10, buffer.Large}, {64 << 10, buffer.Small}, {1 << 20, buffer.Small}} {
		near, far := socketPair(t)
		r := NewReader(deadline.New(near), nil)
		for i, room := range []int{buffer.Small, tt.room} {
			go io.WriteString(far, message(tt.content))
			if err := r.Fill(); err != nil || len(r.buf) != room {
				t.Errorf("content of %d bytes, message %d: room for %d, want %d; %v", tt.content, i+1, len(r.buf), room, err)
			}
			var rq exchange.Request
			if _, err := readRequest(r, &rq); err != nil {
				t.Fatal(err)
			}
			r.Next()
		}
		begun := message(0)[:20]
		io.WriteString(far, begun)
		if err := r.Fill(); err != nil || len(r.buf) != buffer.Small || string(r.buf[r.start:r.end]) != begun {
			t.Errorf("after %d bytes of content: %d bytes are held for %q, %v", tt.content, len(r.buf), r.buf[r.start:r.end], err)
		}
		r.Close()
	}
}

// offered notes how much room the last read was given.
type offered struct {
	io.Reader
	room int
}

func (o *offered) Read(p []byte) (int, error) {
	o.room = len(p)
	return o.Reader.Read(p)
}

// TestRoomWhileNothingComes: what waits with its buffer, as over TLS, waits with a small one,
// however large the last message was.
func TestRoomWhileNothingComes(t *testing.T) {
	for _, content := range []int{0, 8 << 10, 60 << 10} {
		o := &offered{Reader: strings.NewReader(message(content))}
		r := NewReader(o, nil)
		var rq exchange.Request
		if _, err := readRequest(r, &rq); err != nil {
			t.Fatal(err)
		}
		r.Next()
		if err := r.Fill(); err != io.EOF || o.room != buffer.Small {
			t.Errorf("after %d bytes of content: room for %d, %v", content, o.room, err)
		}
		r.Close()
	}
}
