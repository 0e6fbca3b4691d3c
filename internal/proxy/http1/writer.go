package http1

import (
	"io"
	"net/http"
	"strconv"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Writer writes the messages of one connection. What it holds back goes out with
// Flush, or with the first bytes of a body that would not fit.
type Writer struct {
	dst io.Writer
	buf []byte // pooled; nil when nothing is held back
	n   int64  // bytes of content written for the current message
}

// NewWriter writes to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Content counts the bytes of content of the current message.
func (w *Writer) Content() int64 { return w.n }

// Close gives the buffer back; what was not flushed is lost.
func (w *Writer) Close() {
	if w.buf != nil {
		buffer.Put(w.buf)
		w.buf = nil
	}
}

// Discard drops what was not flushed.
func (w *Writer) Discard() {
	if w.buf != nil {
		w.buf = w.buf[:0]
	}
}

// Flush writes what is held back, and gives the buffer back.
func (w *Writer) Flush() error {
	err := w.send()
	w.Close()
	return err
}

// send is Flush in the midst of a message: it keeps the buffer unless it is large.
func (w *Writer) send() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.dst.Write(w.buf)
	if cap(w.buf) > buffer.Medium {
		w.Close()
	} else {
		w.buf = w.buf[:0]
	}
	return err
}

// room makes sure that n more bytes can be held back, n <= buffer.Large.
func (w *Writer) room(n int) error {
	if w.buf == nil {
		w.buf = buffer.Get(max(n, buffer.Small))[:0]
		return nil
	}
	if cap(w.buf)-len(w.buf) >= n {
		return nil
	}
	if len(w.buf)+n <= buffer.Large {
		b := buffer.Get(len(w.buf) + n)[:len(w.buf)]
		copy(b, w.buf)
		buffer.Put(w.buf)
		w.buf = b
		return nil
	}
	if err := w.send(); err != nil {
		return err
	}
	if cap(w.buf) < n {
		w.Close()
		w.buf = buffer.Get(n)[:0]
	}
	return nil
}

func (w *Writer) text(s string) { w.buf = append(w.buf, s...) }

// Request holds back the head of rq, ready for its body. With drop, the
// connection ends after the answer.
func (w *Writer) Request(rq *exchange.Request, last bool) error {
	w.n = 0
	size := len(rq.Method) + len(rq.Path) + len(rq.Authority) + 160
	target := rq.Path
	if rq.Method == "CONNECT" {
		target = rq.Authority
	}
	if !values(target) || !values(rq.Authority) || !values(rq.Method) {
		return ErrUnsent
	}
	if err := w.room(size + fieldsSize(&rq.Header)); err != nil {
		return err
	}
	w.text(rq.Method)
	w.text(" ")
	w.text(target)
	w.text(" HTTP/1.1\r\nhost: ")
	w.text(rq.Authority)
	w.text("\r\n")
	if err := w.fields(&rq.Header); err != nil {
		return err
	}
	switch {
	case rq.Upgrade != "":
		w.text("connection: upgrade\r\n")
	case last:
		w.text("connection: close\r\n")
	}
	switch {
	case rq.Method == "CONNECT" || rq.Upgrade != "":
	case rq.Body != nil && rq.ContentLength == exchange.UnknownLength:
		w.text("transfer-encoding: chunked\r\n")
	case rq.ContentLength > 0 || expectsBody(rq.Method):
		w.length(max(rq.ContentLength, 0))
	}
	w.text("\r\n")
	return nil
}

// expectsBody: a request of such a method without content says so by
// Content-Length: 0 (RFC 9110, 8.6).
func expectsBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH" || method == "OPTIONS"
}

// Framing is how a response is sent.
type Framing struct {
	Method string // the request's
	HTTP10 bool   // the client speaks HTTP/1.0
	Close  bool   // the connection ends after it
}

// Response holds back the head of rs, ready for its body. It tells whether the
// content goes out in chunks; if the length is unknown and it does not, the end
// of the connection ends it.
func (w *Writer) Response(rs *exchange.Response, f Framing) (chunked bool, err error) {
	w.n = 0
	if err := w.room(96 + fieldsSize(&rs.Header)); err != nil {
		return false, err
	}
	w.text(statusText(rs.Status))
	if err := w.fields(&rs.Header); err != nil {
		return false, err
	}
	switch {
	case rs.Status < 200:
		if rs.Status == 101 {
			w.text("connection: Upgrade\r\n")
		}
		w.text("\r\n")
		return false, nil
	case rs.Status == 204, f.Method == "CONNECT" && rs.Status < 300:
	case rs.Status == 304 || f.Method == "HEAD":
		if rs.ContentLength >= 0 {
			w.length(rs.ContentLength)
		}
	case rs.ContentLength >= 0:
		w.length(rs.ContentLength)
	case f.HTTP10:
		f.Close = true
	default:
		chunked = true
		w.text("transfer-encoding: chunked\r\n")
	}
	upgrade := false // the reader has kept it in no other answer
	if rs.Status == http.StatusUpgradeRequired {
		_, upgrade = rs.Header.Lookup("upgrade")
	}
	switch {
	case f.Close && upgrade:
		w.text("connection: close, upgrade\r\n")
	case f.Close:
		w.text("connection: close\r\n")
	case upgrade:
		w.text("connection: upgrade\r\n")
	case f.HTTP10:
		w.text("connection: keep-alive\r\n")
	}
	w.text("\r\n")
	return chunked, nil
}

// Interim sends an answer of 1xx at once; the final one follows.
func (w *Writer) Interim(rs *exchange.Response) error {
	if _, err := w.Response(rs, Framing{}); err != nil {
		w.Discard()
		return err
	}
	return w.Flush()
}

func (w *Writer) length(n int64) {
	w.text("content-length: ")
	w.buf = strconv.AppendInt(w.buf, n, 10)
	w.text("\r\n")
}

func fieldsSize(h *exchange.Header) int {
	n := 0
	for _, f := range h.Fields() {
		n += len(f.Name) + len(f.Value) + 4
	}
	return n
}

// fields appends the fields less those that the codec writes by itself. Room for
// them was made; a head that is too large for that grows by append.
func (w *Writer) fields(h *exchange.Header) error {
	b := w.buf
	for _, f := range h.Fields() {
		switch f.Name {
		case "content-length", "transfer-encoding", "connection", "host", "keep-alive":
			continue
		}
		if f.Name == "" || !values(f.Value) || !values(f.Name) {
			return ErrUnsent
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	w.buf = b
	return nil
}
