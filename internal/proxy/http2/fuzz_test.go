package http2

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// script is a connection whose peer sends some bytes, reads everything, and ends.
type script struct {
	net.Conn
	in   *bytes.Reader
	out  bytes.Buffer
	wait *gate // nil: it says all at once
}

func (s *script) Read(p []byte) (int, error) {
	if s.wait != nil {
		s.wait.await()
	}
	return s.in.Read(p)
}
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer feeds a server. Whatever comes, it must end, send frames that can be
// read, and hand on only requests that are one request of HTTP/1.1 each.
func FuzzServer(f *testing.F) {
	frames := func(write func(*peer)) []byte {
		var b bytes.Buffer
		p := &peer{fr: xh2.NewFramer(&b, nil)}
		p.fr.AllowIllegalWrites = true
		p.enc = hpack.NewEncoder(&p.blk)
		p.fr.WriteSettings()
		write(p)
		return b.Bytes()
	}
	f.Add(frames(func(p *peer) { p.headers(1, true, get...) }))
	f.Add(frames(func(p *peer) {
		p.headers(1, false, with(post, "content-length: 3", "cookie: a", "cookie: b")...)
		p.fr.WriteDataPadded(1, true, []byte("abc"), make([]byte, 3))
		p.headers(3, false, post...)
		p.fr.WriteData(3, false, []byte("abc"))
		p.headers(3, true, "x: y")
		p.fr.WriteRSTStream(3, xh2.ErrCodeCancel)
	}))
	f.Add(frames(func(p *peer) {
		p.fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 0}, xh2.Setting{ID: xh2.SettingHeaderTableSize, Val: 0})
		p.fr.WritePing(false, [8]byte{})
		p.fr.WriteWindowUpdate(0, 100)
		p.fr.WritePriority(5, xh2.PriorityParam{StreamDep: 3})
		b := p.block(get...)
		p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 7, BlockFragment: b[:3], EndStream: true})
		p.fr.WriteContinuation(7, true, b[3:])
		p.fr.WriteGoAway(0, xh2.ErrCodeNo, []byte("bye"))
	}))
	f.Add(frames(func(p *peer) {
		p.headers(1, false, ":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a", ":path: /")
		p.fr.WriteData(1, true, []byte("hi"))
	}))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &script{in: bytes.NewReader(append([]byte(xh2.ClientPreface), in...))}
		o := Defaults()
		o.StreamErrors = len(in)%2 == 0
		o.MaxStreams, o.Connect = 4, true
		Serve(s, nil, &handler{serve: func(st *Stream) {
			st.SetDeadline(time.Now().Add(time.Second))
			var rq exchange.Request
			st.ReadRequest(&rq)
			if rq.Body != nil { // content has a test of its own
				io.Copy(io.Discard, rq.Body)
			}
			rq.Body, rq.ContentLength = nil, 0
			if rq.Method != "CONNECT" {
				oneRequest(t, &rq)
			}
			answer(st, "ok", "x", rq.Path)
		}}, o, nil)
		fr := xh2.NewFramer(nil, &s.out)
		for {
			_, err := fr.ReadFrame()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("what was sent cannot be read: %v", err)
			}
		}
	})
}

// oneRequest holds that a request which was taken is one of HTTP/1.1, the same.
func oneRequest(t *testing.T, rq *exchange.Request) {
	var b bytes.Buffer
	w := http1.NewWriter(&b)
	if err := w.Request(rq, false); err != nil {
		t.Fatalf("cannot be sent as HTTP/1.1: %v", err)
	}
	w.Flush()
	r := http1.NewReader(&b, nil)
	for {
		ok, err := r.Complete()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			break
		}
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	var got exchange.Request
	if err := r.Request(&got); err != nil {
		t.Fatalf("%v in %+v", err, rq)
	}
	if got.Method != rq.Method || got.Authority != rq.Authority || got.Path != rq.Path || got.Upgrade != rq.Upgrade || got.Body != nil || r.Buffered() > 0 || b.Len() > 0 {
		t.Fatalf("%+v became %+v", rq, got)
	}
	count := 0
	for _, f := range rq.Header.Fields() {
		if f.Name != "content-length" {
			count++
		}
	}
	for _, f := range got.Header.Fields() {
		if f.Name != "content-length" {
			count--
		}
	}
	if count != 0 {
		t.Fatalf("%+v became %+v", rq.Header, got.Header)
	}
}

// FuzzClient feeds a client that has asked two things. Whatever comes, its users must
// get an answer or an error, and what it sends must be frames.
func FuzzClient(f *testing.F) {
	answer := func(write func(*peer)) []byte {
		var b bytes.Buffer
		p := &peer{fr: xh2.NewFramer(&b, nil)}
		p.fr.AllowIllegalWrites = true
		p.enc = hpack.NewEncoder(&p.blk)
		p.fr.WriteSettings()
		write(p)
		return b.Bytes()
	}
	f.Add(answer(func(p *peer) {
		p.headers(1, false, ":status: 200", "content-length: 3")
		p.fr.WriteData(1, true, []byte("abc"))
		p.headers(3, false, ":status: 103", "link: x")
		p.headers(3, false, ":status: 200")
		p.headers(3, true, "grpc-status: 0")
	}))
	f.Add(answer(func(p *peer) {
		p.fr.WriteRSTStream(1, xh2.ErrCodeRefusedStream)
		p.fr.WriteGoAway(1, xh2.ErrCodeNo, nil)
		p.fr.WriteWindowUpdate(3, 1)
		p.fr.WritePushPromise(xh2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
	}))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &script{in: bytes.NewReader(in), wait: newGate()}
		ended := newGate()
		c := Dial(s, Defaults(), nil, func() {}, ended.open)
		var streams []*Stream
		for range 2 {
			st, err := c.Open()
			if err != nil {
				t.Fatal(err)
			}
			st.SetDeadline(time.Now().Add(time.Second))
			if st.Request(&exchange.Request{Method: "GET", Scheme: "http", Authority: "a", Path: "/"}, false) != nil || st.Flush() != nil {
				t.Fatal("not sent")
			}
			streams = append(streams, st)
		}
		s.wait.open()
		for _, st := range streams {
			for answers := 0; ; answers++ {
				var rs exchange.Response
				if st.ReadResponse(&rs) != nil {
					break
				}
				if rs.Status <= 100 || rs.Status == 101 || rs.Status > 999 || answers > maxInterim {
					t.Errorf("answer %d: status %d", answers, rs.Status)
				}
				if rs.Body != nil {
					io.Copy(io.Discard, rs.Body)
				}
				if rs.Status >= 200 {
					break
				}
			}
			st.Release()
		}
		ended.await()
		fr := xh2.NewFramer(nil, bytes.NewReader(s.out.Bytes()[len(xh2.ClientPreface):]))
		for {
			if _, err := fr.ReadFrame(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("what was sent cannot be read: %v", err)
			}
		}
	})
}
