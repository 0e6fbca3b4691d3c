package http2

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	xh2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler is a Handler of functions.
type handler struct {
	serve func(*Stream)
	begin func(*Stream) bool
	woken func() Going
}

func (h *handler) Serve(st *Stream) { h.serve(st) }
func (h *handler) Woken() Going {
	if h.woken == nil {
		return Stays
	}
	return h.woken()
}
func (h *handler) Begin(st *Stream) bool {
	return h.begin == nil || h.begin(st)
}

// answer sends a response with that content.
func answer(st *Stream, body string, fields ...string) {
	rs := &exchange.Response{Status: 200, ContentLength: int64(len(body))}
	for i := 0; i < len(fields); i += 2 {
		rs.Header.Add(fields[i], fields[i+1])
	}
	if _, err := st.Response(rs, http1.Framing{Method: "GET"}); err == nil {
		st.String(body)
		st.Flush()
	}
}

// echo answers with the content of the request, and its trailers.
func echo(st *Stream) {
	var rq exchange.Request
	st.ReadRequest(&rq)
	rs := &exchange.Response{Status: 200, ContentLength: exchange.UnknownLength, Body: rq.Body}
	rs.Header.Add("path", rq.Path)
	rs.Header.Add("authority", rq.Authority)
	for _, f := range rq.Header.Fields() {
		rs.Header.Add(f.Name, f.Value)
	}
	st.Response(rs, http1.Framing{Method: rq.Method})
	if rq.Body == nil {
		st.Flush()
		return
	}
	st.Copy(rq.Body, true, &rq.Trailer)
}

// peer speaks frames to the Conn under test.
type peer struct {
	t       testing.TB
	nc      net.Conn
	fr      *xh2.Framer
	enc     *hpack.Encoder
	blk     bytes.Buffer
	dec     *hpack.Decoder
	n       *Counters
	streams int
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	p := &peer{t: t, nc: nc, n: new(Counters)}
	p.fr = xh2.NewFramer(nc, nc)
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.blk)
	p.dec = hpack.NewDecoder(4096, nil)
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return p
}

// serve gives the client of a server under test. Buffered: over TCP, else over a pipe
// that holds nothing.
func serve(t testing.TB, o Options, buffered bool, h *handler) *peer {
	t.Helper()
	a, b := pair(t, buffered)
	p := newPeer(t, a)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(b, nil, h, o, p.n)
	}()
	t.Cleanup(func() { a.Close(); <-done })
	io.WriteString(a, xh2.ClientPreface)
	p.fr.WriteSettings()
	f := p.next()
	if _, ok := f.(*xh2.SettingsFrame); !ok {
		t.Fatalf("first frame is %v", f)
	}
	return p
}

func pair(t testing.TB, buffered bool) (a, b net.Conn) {
	if !buffered {
		return net.Pipe()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// next gives the next frame that says something; nil at the connection's end.
func (p *peer) next() xh2.Frame {
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return nil
		}
		switch f := f.(type) {
		case *xh2.SettingsFrame:
			if f.IsAck() {
				continue
			}
		case *xh2.WindowUpdateFrame:
			continue
		}
		return f
	}
}

// block encodes fields, "name: value" each.
func (p *peer) block(fields ...string) []byte {
	p.blk.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		p.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return p.blk.Bytes()
}

var get = []string{":method: GET", ":scheme: http", ":authority: a", ":path: /"}
var post = []string{":method: POST", ":scheme: http", ":authority: a", ":path: /"}

func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: end, EndHeaders: true})
}

// message reads one response: its fields, content and trailers as text. It is "RST
// code" or "GOAWAY code" if it ends otherwise, "EOF" if the connection does.
func (p *peer) message(id uint32) string {
	p.t.Helper()
	var b strings.Builder
	for {
		switch f := p.next().(type) {
		case nil:
			return b.String() + "EOF"
		case *xh2.GoAwayFrame:
			if f.ErrCode != xh2.ErrCodeNo {
				return b.String() + "GOAWAY " + f.ErrCode.String()
			}
		case *xh2.RSTStreamFrame:
			if f.StreamID == id {
				return b.String() + "RST " + f.ErrCode.String()
			}
		case *xh2.HeadersFrame:
			fields, err := p.dec.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				p.t.Fatal(err)
			}
			if f.StreamID != id {
				continue
			}
			for _, x := range fields {
				b.WriteString(x.Name + ": " + x.Value + "\n")
			}
			if f.StreamEnded() {
				return b.String()
			}
		case *xh2.DataFrame:
			if f.StreamID != id {
				continue
			}
			b.Write(f.Data())
			if f.StreamEnded() {
				return b.String()
			}
			p.fr.WriteWindowUpdate(0, max(f.Length, 1))
			p.fr.WriteWindowUpdate(id, max(f.Length, 1))
		}
	}
}

// ended reads to the connection's end and gives the code of GOAWAY.
func (p *peer) ended() string {
	code := "EOF"
	for {
		switch f := p.next().(type) {
		case nil:
			return code
		case *xh2.GoAwayFrame:
			code = f.ErrCode.String()
		}
	}
}

// gate lets one side wait for the other.
type gate struct {
	once sync.Once
	c    chan struct{}
}

func newGate() *gate   { return &gate{c: make(chan struct{})} }
func (g *gate) open()  { g.once.Do(func() { close(g.c) }) }
func (g *gate) await() { <-g.c }

func with(base []string, more ...string) []string { return append(slices.Clone(base), more...) }
