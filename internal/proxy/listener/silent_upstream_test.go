package listener_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestLeavesWhileUpstreamIsSilent: a client of HTTP/1.1 that goes, and a connection that is
// closed here, end the request at the upstream, too, whether it has said nothing yet or is
// silent within its answer, and whether or not the request had content.
func TestLeavesWhileUpstreamIsSilent(t *testing.T) {
	asked, ended := make(chan bool, 4), make(chan bool, 4)
	logged := make(chan string, 4)
	start := func(t *testing.T, head string) *proxy {
		p := newProxy(t, nil)
		p.opts.Observe = func(x *exchange.Exchange) { logged <- x.Flags + " " + x.Details }
		p.cluster(staticCluster("up", proxytest.Serve(t, func(_ int, c net.Conn) {
			rq, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				_, err = io.Copy(io.Discard, rq.Body)
			}
			if err != nil {
				t.Error(err)
			}
			io.WriteString(c, head)
			asked <- true
			io.Copy(io.Discard, c)
			ended <- true
		}), ""))
		return p.start(strings.Replace(plainListener("stream_idle_timeout: 0s"), "cluster: up", "cluster: up, timeout: 0s", 1))
	}
	within := func(t *testing.T, what string, events <-chan bool) {
		t.Helper()
		select {
		case <-events:
		case <-time.After(patience):
			t.Fatalf("not %s", what)
		}
	}
	for answer, head := range map[string]string{
		"nothing yet":       "",
		"content to come":   "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"a head alone":      "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
		"an interim answer": "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
	} {
		for kind, request := range map[string]string{
			"GET":  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		} {
			for _, way := range []string{"closes", "resets", "is closed here"} {
				t.Run(answer+", "+kind+", "+way, func(t *testing.T) {
					p := start(t, head)
					c, err := net.Dial("tcp", p.addr)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					if _, err := io.WriteString(c, request); err != nil {
						t.Fatal(err)
					}
					within(t, "asked", asked)
					switch way {
					case "closes":
						c.Close()
					case "resets":
						c.(*net.TCPConn).SetLinger(0)
						c.Close()
					default:
						closed := make(chan bool)
						go func() { p.Close(); close(closed) }()
						within(t, "closed", closed)
					}
					within(t, "ended", ended)
					select {
					case flags := <-logged:
						if flags != "DC downstream_remote_disconnect" {
							t.Error(flags)
						}
					case <-time.After(patience):
						t.Fatal("not logged")
					}
				})
			}
		}
	}
}

// TestLeavesLate: a client is seen to go also when the time to wait for its next request has
// passed since it sent this one.
func TestLeavesLate(t *testing.T) {
	asked, ended := newEvent(), newEvent()
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", proxytest.Serve(t, func(_ int, c net.Conn) {
		c.Read(make([]byte, 4096))
		asked.set()
		io.Copy(io.Discard, c)
		ended.set()
	}), ""))
	p.start(strings.Replace(plainListener("common_http_protocol_options: {idle_timeout: 1s}"), "cluster: up", "cluster: up, timeout: 0s", 1))
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	asked.wait(t, "the request")
	select {
	case <-ended:
		t.Fatal("it ends before the client")
	case <-time.After(1200 * time.Millisecond):
	}
	c.Close()
	ended.wait(t, "the end")
}

// TestLeavesBehindItsContent: a client whose answer began while it was sending is seen to go
// once it has sent all.
func TestLeavesBehindItsContent(t *testing.T) {
	asked, ended := newEvent(), newEvent()
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", proxytest.Serve(t, func(_ int, c net.Conn) {
		rq, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
		io.Copy(io.Discard, rq.Body)
		asked.set()
		io.Copy(io.Discard, c)
		ended.set()
	}), ""))
	p.start(strings.Replace(plainListener("stream_idle_timeout: 0s"), "cluster: up", "cluster: up, timeout: 0s", 1))
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	rs, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(rs.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "0\r\n\r\n")
	asked.wait(t, "all of the request")
	c.Close()
	ended.wait(t, "the end")
}

// TestTakesNoContent: a request's time also ends while the upstream takes nothing of what has
// come of its content.
func TestTakesNoContent(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", frames(t, func(_ int, fr *xh2.Framer) {
		fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 0})
		first := uint32(0)
		for acks := 0; ; {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *xh2.HeadersFrame:
				if first == 0 {
					first = f.StreamID
				}
			case *xh2.SettingsFrame:
				if f.IsAck() {
					acks++
				}
			}
			if acks == 2 && first != 0 {
				ok(fr, first) // it knows of the window
				acks = 0
			}
		}
	}), speak(explicit2)))
	p.start(strings.Replace(plainListener(""), "cluster: up", "cluster: up, timeout: 0.3s", 1))
	cl := client(t)
	cl.Timeout = patience
	for _, tc := range []struct {
		content string
		status  int
	}{{"", 200}, {"content", 504}} {
		rs, err := cl.Post("http://"+p.addr+"/", "text/plain", strings.NewReader(tc.content))
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		if rs.StatusCode != tc.status {
			t.Errorf("%q: %s, want %d", tc.content, rs.Status, tc.status)
		}
	}
}

// TestLeavesWithAll: a client that goes with all of the length that it was told has not broken
// off, though the upstream has not said that this was the end; with less it has.
func TestLeavesWithAll(t *testing.T) {
	for content, flags := range map[string]string{"hello": " via_upstream", "hel": "DC downstream_remote_disconnect"} {
		logged, reset := make(chan string, 1), newEvent()
		p := newProxy(t, nil)
		p.opts.Observe = func(x *exchange.Exchange) { logged <- x.Flags + " " + x.Details }
		p.cluster(staticCluster("up", frames(t, func(_ int, fr *xh2.Framer) {
			for {
				switch f, err := fr.ReadFrame(); f := f.(type) {
				case *xh2.HeadersFrame:
					fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte("\x88\x0f\x0d\x015"), EndHeaders: true}) // :status: 200, content-length: 5
					fr.WriteData(f.StreamID, false, []byte(content))
				case *xh2.RSTStreamFrame:
					reset.set()
				default:
					if err != nil {
						return
					}
				}
			}
		}), speak(explicit2)))
		p.start(strings.Replace(plainListener("stream_idle_timeout: 0s"), "cluster: up", "cluster: up, timeout: 0s", 1))
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		rs, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len(content))
		if _, err := io.ReadFull(rs.Body, b); err != nil || string(b) != content {
			t.Fatal(string(b), err)
		}
		c.Close()
		reset.wait(t, "the end of the stream")
		select {
		case got := <-logged:
			if got != flags {
				t.Errorf("%q of 5: %s", content, got)
			}
		case <-time.After(patience):
			t.Fatal("not logged")
		}
	}
}
