package http1

import (
	"fmt"
	"io"
	"net"
	"strings"
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

// offered notes how much room the last read was given.
type offered struct {
	io.Reader
	room int
}

func (o *offered) Read(p []byte) (int, error) {
	o.room = len(p)
	return o.Reader.Read(p)
}

// TestRoomAsTheLastMessage: there is room at once for a message like the last one, unless that
// was larger than a large buffer.
func TestRoomAsTheLastMessage(t *testing.T) {
	for _, tt := range []struct{ content, room int }{{0, buffer.Small}, {3000, buffer.Small}, {8 << 10, buffer.Medium}, {16 << 10, buffer.Large}, {64 << 10, buffer.Small}, {1 << 20, buffer.Small}} {
		c, peer := net.Pipe()
		o := &offered{Reader: c}
		r := NewReader(o, nil)
		next := make(chan struct{})
		go func() {
			for _, n := range []int{tt.content, 0, 0} {
				fmt.Fprintf(peer, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
				<-next
			}
		}()
		for i, room := range []int{buffer.Small, tt.room, buffer.Small} {
			if err := r.Fill(); err != nil || o.room != room {
				t.Errorf("after %d bytes, message %d: room for %d, want %d; %v", tt.content, i+1, o.room, room, err)
			}
			var rq exchange.Request
			if err := fillHead(r); err != nil {
				t.Fatal(err)
			}
			if err := r.Request(&rq); err != nil {
				t.Fatal(err)
			}
			if rq.Body != nil {
				io.Copy(io.Discard, rq.Body)
			}
			r.Next()
			next <- struct{}{}
		}
		r.Close()
		c.Close()
		peer.Close()
	}
}
