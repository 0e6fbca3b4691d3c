package listener_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// holder holds requests up, for as long as their path says, and tells when they end.
type holder struct{ held, ended chan bool }

func (h holder) Decode(x *exchange.Exchange) bool {
	d, _ := time.ParseDuration(strings.TrimPrefix(x.Request.Path, "/"))
	h.held <- true
	passes := x.Sleep(d)
	x.AtEnd(func() { h.ended <- passes })
	return passes
}

// TestLeavesWhileHeld: a client of HTTP/1.1 that goes while its request is held up is seen
// to go at once, also behind a request that it has sent ahead; and one that stays gets its
// answers.
func TestLeavesWhileHeld(t *testing.T) {
	h := holder{make(chan bool, 10), make(chan bool, 10)}
	p := newProxy(t, nil)
	any, err := anypb.New(&emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	p.opts.Filters = []filter.Factory{{TypeURL: any.TypeUrl, New: func(filter.Config) (filter.Filter, error) { return h, nil }}}
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start(strings.Replace(plainListener(""), "http_filters:", "http_filters:\n      - {name: h, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Empty, value: {}}}", 1))
	for name, text := range map[string]string{
		"alone":        "GET /1h HTTP/1.1\r\nHost: a\r\n\r\n",
		"ahead":        "GET /1h HTTP/1.1\r\nHost: a\r\n\r\nGET /1h HTTP/1.1\r\nHost: a\r\n\r\n",
		"with content": "POST /1h HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
	} {
		for _, reset := range []bool{false, true} {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, text)
			<-h.held
			if reset {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
			select {
			case passes := <-h.ended:
				if passes {
					t.Errorf("%s: it goes on", name)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: still held up", name)
			}
		}
	}
	cl := client(t)
	for range 3 {
		for _, body := range []string{"", "content"} {
			rs, err := cl.Post("http://"+p.addr+"/1ms", "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, rs.Body)
			rs.Body.Close()
			if <-h.held; rs.StatusCode != http.StatusOK || !<-h.ended {
				t.Error(rs.Status)
			}
		}
	}
	answers := raw(t, p.addr, strings.Repeat("GET /1ms HTTP/1.1\r\nHost: a\r\n\r\n", 2)+"GET /1ms HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if n := strings.Count(answers, "HTTP/1.1 200"); n != 3 {
		t.Errorf("%d answers to requests sent ahead", n)
	}
}

// TestLeavesBeforeAnInterimAnswer: what is logged of a client that is gone by then does not
// stand in the buffer of the upstream's connection, which others have meanwhile.
func TestLeavesBeforeAnInterimAnswer(t *testing.T) {
	asked, answer := make(chan bool, 1), make(chan bool)
	p := newProxy(t, nil)
	logged := make(chan string, 1)
	p.opts.Observe = func(x *exchange.Exchange) {
		logged <- fmt.Sprint(x.Response.Status, x.Response.Header.Fields(), x.Flags)
	}
	p.cluster(staticCluster("up", proxytest.Serve(t, func(_ int, c net.Conn) {
		c.Read(make([]byte, 4096))
		asked <- true
		<-answer
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
		io.Copy(io.Discard, c)
	}), ""))
	p.start(plainListener(""))
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	answer <- true
	select {
	case got := <-logged:
		if got != "0 []DC" {
			t.Error(got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is logged")
	}
}
