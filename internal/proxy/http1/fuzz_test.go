package http1

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// FuzzRequest holds three things: how the bytes arrive changes nothing; what is
// taken is written again as a message that means the same; and no byte that could
// begin another message gets into a head.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{get + "\r\n", get + "Content-Length: 3\r\n\r\nabc", get + "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://b/ HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\nX: y\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var a, b exchange.Request
		ra, rb := NewReader(bytes.NewReader(in), nil), NewReader(iotest.OneByteReader(bytes.NewReader(in)), nil)
		ra.Limits.Trailers, rb.Limits.Trailers = true, true
		defer ra.Close()
		defer rb.Close()
		bodyA, errA := readRequest(ra, &a)
		bodyB, errB := readRequest(rb, &b)
		if (errA == nil) != (errB == nil) || bodyA != bodyB {
			t.Fatalf("at once: %q %v; byte by byte: %q %v", bodyA, errA, bodyB, errB)
		}
		if errA != nil {
			return
		}
		var out bytes.Buffer
		w := NewWriter(&out)
		if a.Body != nil {
			a.Body = strings.NewReader(bodyA)
		}
		if err := w.Request(&a, false); err != nil {
			t.Fatalf("taken but not written: %v", err)
		}
		chunked := a.ContentLength == exchange.UnknownLength
		var err error
		if a.Body != nil {
			err = w.Copy(a.Body, chunked, &a.Trailer)
		} else {
			err = w.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		var c exchange.Request
		rc := NewReader(&out, nil)
		rc.Limits.Trailers = true
		defer rc.Close()
		bodyC, err := readRequest(rc, &c)
		if err != nil {
			t.Fatalf("written but not taken: %v", err)
		}
		if bodyC != bodyA || c.Method != a.Method || c.Path != a.Path || c.Authority != a.Authority || rc.Buffered() != 0 || c.Trailer.Len() != a.Trailer.Len() {
			t.Fatalf("%q %q %q %q, %d bytes left; was %q %q %q %q", c.Method, c.Path, c.Authority, bodyC, rc.Buffered(), a.Method, a.Path, a.Authority, bodyA)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\n\r\nrest", "HTTP/1.1 204 No\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "HTTP/1.0 404\r\n\r\n"} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		read := func(src io.Reader) (exchange.Response, string, error) {
			var rs exchange.Response
			r := NewReader(src, nil)
			r.Limits.Trailers = true
			body, err := readResponse(r, &rs, method)
			return rs, body, err
		}
		a, bodyA, errA := read(bytes.NewReader(in))
		_, bodyB, errB := read(iotest.OneByteReader(bytes.NewReader(in)))
		if (errA == nil) != (errB == nil) || bodyA != bodyB {
			t.Fatalf("at once: %q %v; byte by byte: %q %v", bodyA, errA, bodyB, errB)
		}
		if errA != nil || a.Status < 200 {
			return
		}
		var out bytes.Buffer
		w := NewWriter(&out)
		if a.Body != nil {
			a.Body = strings.NewReader(bodyA)
		}
		chunked, err := w.Response(&a, Framing{Method: method})
		if err != nil {
			t.Fatalf("taken but not written: %v", err)
		}
		if a.Body != nil {
			err = w.Copy(a.Body, chunked, &a.Trailer)
		} else {
			err = w.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		c, bodyC, err := read(&out)
		if err != nil || bodyC != bodyA || c.Status != a.Status || c.Header.Len() > a.Header.Len()+1 {
			t.Fatalf("%d %q %v; was %d %q", c.Status, bodyC, err, a.Status, bodyA)
		}
	})
}

func readResponse(r *Reader, rs *exchange.Response, method string) (string, error) {
	if err := fillHead(r); err != nil {
		return "", err
	}
	if err := r.Response(rs, method); err != nil {
		return "", err
	}
	if rs.Body == nil {
		return "", nil
	}
	b, err := io.ReadAll(rs.Body)
	return string(b), err
}
