package listener_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
)

// taker takes content of at most five bytes, and tells the upstream what it saw. With
// x-deny it refuses afterwards.
type taker struct{}

func (taker) Decode(x *exchange.Exchange) bool {
	b, whole, ok := x.Buffer(5, x.Request.Header.Get("x-partial") != "")
	if !ok {
		return false
	}
	x.Request.Header.Set("x-taken", fmt.Sprintf("%q %v", b, whole))
	if x.Request.Header.Get("x-deny") != "" {
		x.Reply(403, "no", "denied")
		return false
	}
	return true
}

// got answers with what came.
func got(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %q %v %s", r.Header.Get("X-Taken"), b, err, r.Trailer.Get("X-End"))
}

func buffering(t *testing.T, more, to string, http2 bool) *proxy {
	p := newProxy(t, nil)
	any, err := anypb.New(&emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	p.opts.Filters = []filter.Factory{{TypeURL: any.TypeUrl, New: func(filter.Config) (filter.Filter, error) { return taker{}, nil }}}
	config := ""
	if http2 {
		config = speak(explicit2)
	} else {
		config = speak("explicit_http_config: {http_protocol_options: {enable_trailers: true}}")
	}
	p.cluster(staticCluster("up", to, config))
	return p.start(strings.Replace(plainListener("http_protocol_options: {enable_trailers: true}\n"+more), "http_filters:", "http_filters:\n      - {name: taker, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Empty, value: {}}}", 1))
}

// TestBuffer takes content by every framing, and sends it on unchanged.
func TestBuffer(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		up := backend(t, got)
		if http2 {
			up = backend2(t, false, got)
		}
		p := buffering(t, "", up, http2)
		for text, want := range map[string]string{
			"Content-Length: 3\r\n\r\nabc":                                         `200 true "abc" true "abc" <nil> `,
			"Content-Length: 5\r\n\r\nabcde":                                       `200 true "abcde" true "abcde" <nil> `,
			"Content-Length: 6\r\n\r\nabcdef":                                      `413 true Payload Too Large`,
			"Content-Length: 600\r\n\r\nabc":                                       `413 false Payload Too Large`,
			"Content-Length: 6\r\nX-Partial: 1\r\n\r\nabcdef":                      `200 true "abcde" false "abcdef" <nil> `,
			"Content-Length: 0\r\n\r\n":                                            `200 true "" true "" <nil> `,
			"Transfer-Encoding: chunked\r\n\r\n":                                   "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n" + `=200 true "abcde" true "abcde" <nil> `,
			"Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n":                 "1\r\na\r\n0\r\nX-End: over\r\n\r\n" + `=200 true "a" true "a" <nil> over`,
			"Transfer-Encoding: chunked\r\nX-L: 1\r\n\r\n":                         "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" + `=413 false Payload Too Large`,
			"Transfer-Encoding: chunked\r\nTrailer: X-End\r\nX-Partial: 1\r\n\r\n": "6\r\nabcdef\r\n2\r\ngh\r\n0\r\nX-End: over\r\n\r\n" + `=200 true "abcde" false "abcdefgh" <nil> over`,
			"Transfer-Encoding: chunked\r\nX-B: 1\r\n\r\n":                         "x\r\nabc\r\n" + `=400 false Bad Request`,
			"Transfer-Encoding: chunked\r\nX-Deny: 1\r\n\r\n":                      "1\r\na\r\n0\r\n\r\n" + `=403 true no`,
		} {
			if body, w, ok := strings.Cut(want, "="); ok {
				text, want = text+body, w
			}
			rs, b := one(t, p.addr, "POST / HTTP/1.1\r\nHost: a\r\n"+text, "POST")
			if answer := fmt.Sprintf("%d %v %s", rs.StatusCode, !rs.Close, b); answer != want {
				t.Errorf("%v: %q: %q, want %q", http2, text, answer, want)
			}
		}
		c := client2(t)
		for _, body := range []string{"", "abc", "abcde", "abcdef", strings.Repeat("x", 100000)} {
			for _, partial := range []string{"", "1"} {
				rq, err := http.NewRequest("POST", "http://"+p.addr, struct{ io.Reader }{strings.NewReader(body)})
				if err != nil {
					t.Fatal(err)
				}
				rq.Header.Set("X-Partial", partial)
				rq.Trailer = http.Header{"X-End": {"over"}}
				rs, err := c.Do(rq)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(rs.Body)
				rs.Body.Close()
				want := fmt.Sprintf("%q %v %q <nil> over", body[:min(len(body), 5)], len(body) <= 5, body)
				if len(body) == 5 && partial != "" {
					continue // whether more comes is not known
				}
				if len(body) > 5 && partial == "" {
					want = "Payload Too Large"
				}
				if string(b) != want || err != nil {
					t.Errorf("HTTP/2, %d bytes: %d %.80q %v, want %.80q", len(body), rs.StatusCode, b, err, want)
				}
			}
		}
	}
}

// TestBufferContinue: a client that waits for 100 gets it once, and none for content that
// is not taken.
func TestBufferContinue(t *testing.T) {
	p := buffering(t, "", backend(t, got), false)
	for length, want := range map[int]string{3: "HTTP/1.1 100 Continue", 6: "HTTP/1.1 413 Request Entity Too Large"} {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if strings.TrimSpace(line) != want {
			t.Fatalf("%q %v", line, err)
		}
		if length == 6 {
			continue
		}
		r.ReadString('\n')
		io.WriteString(c, "abc")
		rs, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(rs.Body); rs.StatusCode != 200 || string(b) != `"abc" true "abc" <nil> ` {
			t.Errorf("%d %q", rs.StatusCode, b)
		}
	}
}

// TestBufferStalls: content that does not come ends by the stream's idle time, and a
// client that leaves is not waited for.
func TestBufferStalls(t *testing.T) {
	p := buffering(t, "stream_idle_timeout: 0.1s", backend(t, got), false)
	for _, framing := range []string{"Content-Length: 5\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
		rs, b := one(t, p.addr, "POST / HTTP/1.1\r\nHost: a\r\n"+framing, "POST")
		if rs.StatusCode != 408 || b != "stream timeout" {
			t.Errorf("%d %q", rs.StatusCode, b)
		}
	}
	p = buffering(t, "", backend(t, got), false)
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc")
	c.(*net.TCPConn).CloseWrite()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	body, w := io.Pipe()
	rq, err := http.NewRequestWithContext(ctx, "POST", "http://"+p.addr, body)
	if err != nil {
		t.Fatal(err)
	}
	go func() { w.Write([]byte("abc")); cancel() }()
	if _, err := client2(t).Do(rq); err == nil {
		t.Error("answered")
	}
	w.Close()
}

// TestBufferKeeps: more requests follow on the connection.
func TestBufferKeeps(t *testing.T) {
	p := buffering(t, "", backend(t, got), false)
	var text strings.Builder
	for i := range 3 {
		text.WriteString("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n" + strconv.Itoa(i) + "\r\n0\r\n\r\n")
	}
	all := raw(t, p.addr, text.String()+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for _, want := range []string{`"0" true "0" <nil>`, `"1" true "1" <nil>`, `"2" true "2" <nil>`, `"" true "" <nil>`} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %q", want, all)
		}
	}
}
