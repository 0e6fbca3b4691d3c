package http2

import (
	"io"
	"strings"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

func TestExchange(t *testing.T) {
	p := serve(t, Defaults(), true, &handler{serve: echo})
	for _, tt := range []struct {
		name string
		send func(id uint32)
		want string
	}{
		{"no content", func(id uint32) { p.headers(id, true, get...) }, ":status: 200\npath: /\nauthority: a\n"},
		{"Host in place of :authority", func(id uint32) {
			p.headers(id, true, ":method: GET", ":scheme: https", ":path: /x?y", "host: b:1")
		}, ":status: 200\npath: /x?y\nauthority: b:1\n"},
		{"Host beside :authority", func(id uint32) { p.headers(id, true, with(get, "host: A")...) }, ":status: 200\npath: /\nauthority: a\n"},
		{"cookies", func(id uint32) { p.headers(id, true, with(get, "cookie: a=1", "x: y", "cookie: b=2")...) },
			":status: 200\npath: /\nauthority: a\ncookie: a=1; b=2\nx: y\n"},
		{"content and trailers", func(id uint32) {
			p.headers(id, false, with(post, "te: trailers")...)
			p.fr.WriteDataPadded(id, false, []byte("one"), make([]byte, 9))
			p.fr.WriteData(id, false, []byte("two"))
			p.headers(id, true, "grpc-status: 0")
		}, ":status: 200\npath: /\nauthority: a\nte: trailers\nonetwogrpc-status: 0\n"},
		{"declared content", func(id uint32) {
			p.headers(id, false, with(post, "content-length: 3")...)
			p.fr.WriteData(id, true, []byte("one"))
		}, ":status: 200\npath: /\nauthority: a\ncontent-length: 3\none"},
		{"a head in parts", func(id uint32) {
			b := p.block(with(get, "x: "+strings.Repeat("y", 100))...)
			p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: id, BlockFragment: b[:10], EndStream: true})
			p.fr.WriteContinuation(id, false, b[10:11])
			p.fr.WriteContinuation(id, true, b[11:])
		}, ":status: 200\npath: /\nauthority: a\nx: " + strings.Repeat("y", 100) + "\n"},
	} {
		id := uint32(2*p.count() - 1)
		tt.send(id)
		if got := p.message(id); got != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, got, tt.want)
		}
	}
}

// count numbers the streams of a test.
func (p *peer) count() int {
	p.streams++
	return p.streams
}

// TestMalformed holds what RFC 9113, 8 forbids. Each ends its stream, or the whole
// connection if so configured.
func TestMalformed(t *testing.T) {
	for name, fields := range map[string][]string{
		"upper case":                  with(get, "X-a: b"),
		"empty name":                  with(get, ": b"),
		"space in a name":             with(get, "x y: b"),
		"colon in a name":             with(get, "x:y: b"),
		"CR in a value":               with(get, "x: a\rb"),
		"LF in a value":               with(get, "x: a\nb"),
		"NUL in a value":              with(get, "x: a\x00b"),
		"space before a value":        with(get, "x:  a"),
		"tab after a value":           with(get, "x: a\t"),
		"connection":                  with(get, "connection: close"),
		"keep-alive":                  with(get, "keep-alive: 1"),
		"proxy-connection":            with(get, "proxy-connection: close"),
		"transfer-encoding":           with(get, "transfer-encoding: chunked"),
		"upgrade":                     with(get, "upgrade: h2c"),
		"te other than trailers":      with(get, "te: trailers, deflate"),
		"no method":                   {":scheme: http", ":authority: a", ":path: /"},
		"no scheme":                   {":method: GET", ":authority: a", ":path: /"},
		"another scheme":              {":method: GET", ":scheme: ftp", ":authority: a", ":path: /"},
		"no path":                     {":method: GET", ":scheme: http", ":authority: a"},
		"empty path":                  {":method: GET", ":scheme: http", ":authority: a", ":path: "},
		"absolute path":               {":method: GET", ":scheme: http", ":authority: a", ":path: http://b/"},
		"space in the path":           {":method: GET", ":scheme: http", ":authority: a", ":path: / HTTP/1.1"},
		"LF in the path":              {":method: GET", ":scheme: http", ":authority: a", ":path: /\nx"},
		"fragment":                    {":method: GET", ":scheme: http", ":authority: a", ":path: /#x"},
		"asterisk for GET":            {":method: GET", ":scheme: http", ":authority: a", ":path: *"},
		"method in lower case":        {":method: get", ":scheme: http", ":authority: a", ":path: /"},
		"space in the method":         {":method: GET /x", ":scheme: http", ":authority: a", ":path: /"},
		"no authority":                {":method: GET", ":scheme: http", ":path: /"},
		"userinfo":                    {":method: GET", ":scheme: http", ":authority: u@a", ":path: /"},
		"another Host":                with(get, "host: b"),
		"two Hosts":                   with(get, "host: a", "host: a"),
		"two paths":                   with(get, ":path: /x"),
		"pseudo field after another":  {":method: GET", ":scheme: http", ":authority: a", "x: y", ":path: /"},
		"unknown pseudo field":        with(get, ":protocol: websocket"),
		"status of a request":         with(get, ":status: 200"),
		"CONNECT with a path":         {":method: CONNECT", ":authority: a:1", ":path: /"},
		"CONNECT without a port":      {":method: CONNECT", ":authority: a"},
		"content-length not a number": with(get, "content-length: +0"),
		"two content-lengths":         with(get, "content-length: 0", "content-length: 0"),
		"content-length without any":  with(get, "content-length: 1"),
		"expectation":                 with(get, "expect: 200-ok"),
	} {
		t.Run(name, func(t *testing.T) {
			o := Defaults()
			o.StreamErrors = true
			p := serve(t, o, true, &handler{serve: echo})
			p.headers(1, true, fields...)
			if got := p.message(1); got != "RST PROTOCOL_ERROR" {
				t.Errorf("%q", got)
			}
			p.headers(3, true, get...)
			if got := p.message(3); !strings.HasPrefix(got, ":status: 200") {
				t.Errorf("the next request: %q", got)
			}
			p = serve(t, Defaults(), true, &handler{serve: echo})
			p.headers(1, true, fields...)
			if got := p.ended(); got != "PROTOCOL_ERROR" {
				t.Errorf("connection: %q", got)
			}
			if p.n.MessagingErrors.Load() != 1 {
				t.Error("not counted")
			}
		})
	}
}

// TestProtocol holds what a request for another protocol must be (RFC 8441, 4), and
// that it is the upgrade of HTTP/1.1 for who serves it.
func TestProtocol(t *testing.T) {
	o := Defaults()
	o.Connect, o.StreamErrors = true, true
	good := []string{":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a", ":path: /"}
	for name, fields := range map[string][]string{
		"GET":                      with(get, ":protocol: websocket"),
		"no path":                  {":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a:1"},
		"no scheme":                {":method: CONNECT", ":protocol: websocket", ":authority: a:1", ":path: /"},
		"no authority":             {":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /"},
		"asterisk":                 {":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a", ":path: *"},
		"empty":                    {":method: CONNECT", ":protocol: ", ":scheme: http", ":authority: a", ":path: /"},
		"upper case":               {":method: CONNECT", ":protocol: WebSocket", ":scheme: http", ":authority: a", ":path: /"},
		"no token":                 {":method: CONNECT", ":protocol: a b", ":scheme: http", ":authority: a", ":path: /"},
		"long":                     {":method: CONNECT", ":protocol: " + strings.Repeat("a", 65), ":scheme: http", ":authority: a", ":path: /"},
		"HTTP/2":                   {":method: CONNECT", ":protocol: h2c", ":scheme: http", ":authority: a", ":path: /"},
		"twice":                    with(good, ":protocol: websocket"),
		"content-length":           with(good, "content-length: 0"),
		"connection":               with(good, "connection: upgrade"),
		"plain CONNECT has a path": {":method: CONNECT", ":authority: a:1", ":path: /"},
	} {
		p := serve(t, o, true, &handler{serve: echo})
		p.headers(1, false, fields...)
		if got := p.message(1); got != "RST PROTOCOL_ERROR" {
			t.Errorf("%s: %q", name, got)
		}
	}
	p := serve(t, o, true, &handler{serve: func(st *Stream) {
		rq := new(exchange.Request)
		st.ReadRequest(rq)
		if rq.Method != "GET" || rq.Upgrade != "websocket" || rq.Header.Get("upgrade") != "websocket" || rq.Body != nil || rq.ContentLength != 0 || rq.Path != "/" {
			t.Errorf("%+v", rq)
		}
		st.Response(&exchange.Response{Status: 101}, http1.Framing{Method: rq.Method})
		st.Flush()
		io.Copy(st, struct{ io.Reader }{st})
		st.CloseWrite()
	}})
	p.headers(1, false, good...)
	p.fr.WriteData(1, false, []byte("to "))
	p.fr.WriteData(1, true, []byte("and fro"))
	if got := p.message(1); !strings.HasPrefix(got, ":status: 200\n") || !strings.Contains(got, "to and fro") {
		t.Errorf("%q", got)
	}
}

// TestContent holds that content is what was declared, within the window.
func TestContent(t *testing.T) {
	for name, tt := range map[string]struct {
		send func(p *peer)
		want string
	}{
		"more than declared": {func(p *peer) {
			p.headers(1, false, with(post, "content-length: 3")...)
			p.fr.WriteData(1, false, []byte("four"))
		}, "RST PROTOCOL_ERROR"},
		"less than declared": {func(p *peer) {
			p.headers(1, false, with(post, "content-length: 3")...)
			p.fr.WriteData(1, true, []byte("no"))
		}, "RST PROTOCOL_ERROR"},
		"less, and trailers": {func(p *peer) {
			p.headers(1, false, with(post, "content-length: 3")...)
			p.fr.WriteData(1, false, []byte("no"))
			p.headers(1, true, "x: y")
		}, "RST PROTOCOL_ERROR"},
		"trailers without an end": {func(p *peer) {
			p.headers(1, false, post...)
			p.headers(1, false, "x: y")
		}, "RST PROTOCOL_ERROR"},
		"pseudo field as trailer": {func(p *peer) {
			p.headers(1, false, post...)
			p.headers(1, true, ":path: /")
		}, "RST PROTOCOL_ERROR"},
		"authorization as trailer": {func(p *peer) {
			p.headers(1, false, post...)
			p.headers(1, true, "authorization: x")
		}, "RST PROTOCOL_ERROR"},
		"after the end": {func(p *peer) {
			p.headers(1, true, post...)
			p.fr.WriteData(1, true, []byte("x"))
		}, "RST STREAM_CLOSED"},
		"beyond the stream's window": {func(p *peer) {
			p.headers(1, false, post...)
			for range 5 {
				p.fr.WriteData(1, false, make([]byte, 16<<10))
			}
		}, "RST FLOW_CONTROL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Defaults()
			o.StreamErrors, o.StreamWindow = true, 65535
			release := newGate()
			p := serve(t, o, true, &handler{serve: func(st *Stream) {
				release.await() // nobody reads meanwhile
			}})
			tt.send(p)
			got := p.message(1)
			release.open()
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestConnectionWindow holds that content which nobody reads stays within the
// connection's window, whatever the number of streams.
func TestConnectionWindow(t *testing.T) {
	o := Defaults()
	o.ConnWindow = 65535
	release := newGate()
	p := serve(t, o, true, &handler{serve: func(*Stream) { release.await() }})
	defer release.open()
	for i := range uint32(5) {
		p.headers(2*i+1, false, post...)
		p.fr.WriteData(2*i+1, false, make([]byte, 16<<10))
	}
	for {
		switch f := p.next().(type) {
		case nil:
			t.Fatal("no GOAWAY")
		case *xh2.GoAwayFrame:
			if f.ErrCode != xh2.ErrCodeFlowControl {
				t.Error(f.ErrCode)
			}
			return
		}
	}
}

// TestStalledReader holds that a client which opens no window is sent nothing, holds
// up nobody, and loses its stream when the deadline passes.
func TestStalledReader(t *testing.T) {
	failed := make(chan error, 1)
	p := serve(t, Defaults(), true, &handler{serve: func(st *Stream) {
		var rq exchange.Request
		st.ReadRequest(&rq)
		if rq.Path == "/" {
			answer(st, "small")
			return
		}
		rs := &exchange.Response{Status: 200, ContentLength: exchange.UnknownLength, Body: zeros{}}
		st.Response(rs, http1.Framing{Method: "GET"})
		st.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		failed <- st.Copy(zeros{}, true, nil)
	}})
	p.fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 100})
	p.headers(1, true, ":method: GET", ":scheme: http", ":authority: a", ":path: /big")
	p.headers(3, true, get...)
	if got := p.message(3); got != ":status: 200\ncontent-length: 5\nsmall" {
		t.Errorf("%q", got)
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Error(err)
	}
	if got := p.message(1); !strings.HasSuffix(got, "RST INTERNAL_ERROR") || len(got) > 150 {
		t.Errorf("%q", got)
	}
}

// TestAcknowledgesFirst: settings are acknowledged at once (RFC 9113, 6.5.3), before the
// content that goes by their window: who waits for the one would take it for the old window's.
func TestAcknowledgesFirst(t *testing.T) {
	p := serve(t, Defaults(), true, &handler{serve: func(st *Stream) {
		var rq exchange.Request
		st.ReadRequest(&rq)
		answer(st, "content")
	}})
	p.fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 0})
	p.headers(1, true, get...)
	for f := p.next(); ; f = p.next() {
		if _, ok := f.(*xh2.HeadersFrame); ok {
			break
		}
	}
	p.fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 1})
	acknowledged := false
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *xh2.SettingsFrame:
			acknowledged = acknowledged || f.IsAck()
		case *xh2.DataFrame:
			if !acknowledged || f.Length != 1 {
				t.Errorf("acknowledged %v, %d bytes of content", acknowledged, f.Length)
			}
			return
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestTurns holds that streams with much to say take turns, frame by frame.
func TestTurns(t *testing.T) {
	const each = 4 << 20
	much := make([]byte, each)
	p := serve(t, Defaults(), true, &handler{serve: func(st *Stream) {
		st.Response(&exchange.Response{Status: 200, ContentLength: exchange.UnknownLength, Body: zeros{}}, http1.Framing{Method: "GET"})
		st.Write(much)
	}})
	p.fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 1 << 30})
	for i := range uint32(4) {
		p.headers(2*i+1, true, get...)
	}
	p.fr.WriteWindowUpdate(0, 1<<30)
	got := map[uint32]int{}
	var last uint32
	for {
		f, ok := p.next().(*xh2.DataFrame)
		if !ok {
			continue
		}
		if got[f.StreamID] += int(f.Length); got[f.StreamID] >= each/2 {
			break
		}
		if len(got) == 4 && f.StreamID == last {
			t.Fatal("two frames of a stream in a row, while others wait")
		}
		last = f.StreamID
	}
	if len(got) != 4 {
		t.Errorf("%d streams", len(got))
	}
}

// TestResetsBuyNothing holds that a reset stream counts until its request has ended.
func TestResetsBuyNothing(t *testing.T) {
	o := Defaults()
	o.MaxStreams = 2
	release := newGate()
	p := serve(t, o, true, &handler{serve: func(*Stream) { release.await() }})
	defer release.open()
	for i := range uint32(2) {
		p.headers(2*i+1, true, get...)
		p.fr.WriteRSTStream(2*i+1, xh2.ErrCodeCancel)
	}
	p.headers(5, true, get...)
	if got := p.message(5); got != "RST REFUSED_STREAM" {
		t.Errorf("%q", got)
	}
}

// TestReset holds that the user of a stream hears of its reset.
func TestReset(t *testing.T) {
	heard := make(chan error, 1)
	begun := newGate()
	p := serve(t, Defaults(), true, &handler{serve: func(st *Stream) {
		gone := newGate()
		st.OnReset(gone.open)
		begun.open()
		gone.await()
		st.OnReset(nil)
		_, err := st.Write([]byte("x"))
		heard <- err
	}})
	p.headers(1, false, post...)
	begun.await()
	p.fr.WriteRSTStream(1, xh2.ErrCodeCancel)
	if err := <-heard; err == nil || err.Error() != "http2: the stream was reset: CANCEL" {
		t.Error(err)
	}
}

// TestShutdown holds that what is in flight ends, and nothing else begins.
func TestShutdown(t *testing.T) {
	begun, release := newGate(), newGate()
	var served int
	p := serve(t, Defaults(), true, &handler{
		begin: func(st *Stream) bool { served++; return served == 1 },
		serve: func(st *Stream) { begun.open(); release.await(); answer(st, "done") },
	})
	p.headers(1, true, get...)
	begun.await()
	p.headers(3, true, get...)
	if got := p.message(3); got != "RST REFUSED_STREAM" {
		t.Errorf("%q", got)
	}
	p.headers(5, true, get...)
	release.open()
	if got := p.message(1); got != ":status: 200\ncontent-length: 4\ndone" {
		t.Errorf("%q", got)
	}
	if f := p.next(); f != nil {
		t.Errorf("%v after the last answer", f)
	}
}

// TestEarlyAnswer holds that an answer before the request's end asks for no more of it.
func TestEarlyAnswer(t *testing.T) {
	p := serve(t, Defaults(), true, &handler{serve: func(st *Stream) { answer(st, "no") }})
	p.headers(1, false, post...)
	if got := p.message(1); got != ":status: 200\ncontent-length: 2\nno" {
		t.Errorf("%q", got)
	}
	if got := p.message(1); got != "RST NO_ERROR" {
		t.Errorf("%q", got)
	}
	p.fr.WriteData(1, false, []byte("was on its way")) // is not held against the client
	p.headers(1, true, "trailers: too")
	p.headers(3, true, get...)
	if got := p.message(3); got != ":status: 200\ncontent-length: 2\nno" {
		t.Errorf("%q", got)
	}
}

// TestClosed holds that a stream which has ended both ways is closed for the client,
// although its request has not ended here.
func TestClosed(t *testing.T) {
	for name, send := range map[string]func(*peer){
		"STREAM_CLOSED":        func(p *peer) { p.fr.WriteData(1, true, []byte("x")) },
		"GOAWAY STREAM_CLOSED": func(p *peer) { p.headers(1, true, get...) },
	} {
		release := newGate()
		p := serve(t, Defaults(), true, &handler{serve: func(st *Stream) { answer(st, "done"); release.await() }})
		p.headers(1, true, get...)
		if got := p.message(1); got != ":status: 200\ncontent-length: 4\ndone" {
			t.Errorf("%q", got)
		}
		send(p)
		if got := p.message(1); !strings.HasSuffix(got, name) {
			t.Errorf("%q, want %s", got, name)
		}
		release.open()
	}
}
