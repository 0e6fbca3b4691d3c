package listener_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// What most rows of TestRules send and answer.
const (
	last     = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	withBody = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	headLast = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	fine     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

// rule is what a standard demands of who passes messages on. No other proxy is asked:
// each of them breaks some.
type rule struct {
	section string // of the RFC
	name    string
	send    string   // what the client sends on one connection
	answer  string   // of the server to each request; "": fine
	server  []string // what the server sees; with "!" in front: does not see
	client  []string // likewise of the client; "RESET": the connection is reset
	options string   // of the connection manager
}

var rules = []rule{
	// RFC 9112, HTTP/1.1.
	{"9112 2.2", "an empty line before a request", "\r\n" + last, "", []string{"GET / "}, []string{"200 OK"}, ""},
	{"9112 2.3", "the version is one's own", strings.Replace(last, "HTTP/1.1", "HTTP/1.0", 1), "", []string{"GET / HTTP/1.1\r\n"}, []string{"HTTP/1.1 200"}, http10},
	{"9112 3", "a target that is too long", "GET /" + strings.Repeat("a", 61<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "", []string{"!GET"}, []string{"HTTP/1.1 414 ", "connection: close"}, ""},
	{"9112 3.2", "no Host", "GET / HTTP/1.1\r\n\r\n", "", []string{"!GET"}, []string{"HTTP/1.1 400 "}, ""},
	{"9112 3.2.2", "the absolute target overrides Host", "GET http://b.example/x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "", []string{"GET /x?y HTTP/1.1\r\nhost: b.example\r\n", "!host: a"}, []string{"200 OK"}, ""},
	{"9112 3.2.2", "an absolute target without a path", "GET http://b.example HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "", []string{"GET / HTTP/1.1\r\nhost: b.example\r\n"}, []string{"200 OK"}, ""},
	{"9112 3.2.4", "OPTIONS of an absolute target without a path", "OPTIONS http://b.example HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "", []string{"OPTIONS * HTTP/1.1\r\nhost: b.example\r\n"}, []string{"200 OK"}, ""},
	{"9112 3.2.4", "OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "", []string{"OPTIONS * HTTP/1.1\r\nhost: a\r\n"}, []string{"200 OK"}, ""},
	{"9112 4", "the reason phrase means nothing", last, "HTTP/1.1 200 Go away\r\nContent-Length: 0\r\n\r\n", nil, []string{"HTTP/1.1 200 OK\r\n"}, ""},
	{"9112 4", "an unknown status is passed on", last, "HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n", nil, []string{"HTTP/1.1 299 "}, ""},
	{"9112 4", "a status of two digits", last, "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 5.1", "white space before a colon of an answer", last, "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", nil, []string{"HTTP/1.1 502 ", "!A : b"}, ""},
	{"9112 5.2", "a folded field of an answer", last, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.1", "chunks after a gzip coding of an answer", last, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.1", "a coding in an answer of HTTP/1.0", last, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.1", "a coding with 204", last, "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.1", "no chunks for a client of HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", nil, []string{"!chunked", "\r\n\r\nok", "connection: close"}, http10},
	{"9112 6.3", "a coding and a length in an answer", last, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.3", "two lengths in an answer", last, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.3", "a bad length in an answer", last, "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", nil, []string{"HTTP/1.1 502 "}, ""},
	{"9112 6.3", "the answer to HEAD has a length and no content", headLast, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", nil, []string{"content-length: 5\r\n"}, ""},
	{"9112 6.3", "content after the answer to HEAD", headLast, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", nil, []string{"content-length: 5\r\n", "!hello"}, ""},
	{"9112 6.3", "304 has a length and no content", last, "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", nil, []string{"HTTP/1.1 304 ", "content-length: 5\r\n"}, ""},
	{"9112 6.3", "content after 204", last, "HTTP/1.1 204 No\r\n\r\nhello", nil, []string{"HTTP/1.1 204 ", "!hello"}, ""},
	{"9112 6.3", "content up to the end of the connection", last, "HTTP/1.1 200 OK\r\n\r\nall", nil, []string{"transfer-encoding: chunked", "\r\n3\r\nall\r\n0\r\n\r\n"}, ""},
	{"9112 7.1.1", "chunk extensions are dropped", withBody + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0;c\r\n\r\n", "", []string{"hi", "!a=b", "!;c"}, []string{"200 OK"}, ""},
	{"9112 7.1.2", "trailers are dropped unless asked for", withBody + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: v\r\n\r\n", "", []string{"hi", "!x-t"}, []string{"200 OK"}, ""},
	{"9112 7.4", "TE other than trailers is dropped", "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\nConnection: TE, close\r\n\r\n", "", []string{"!gzip"}, []string{"200 OK"}, ""},
	{"9112 8", "an answer shorter than its length", last, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", nil, []string{"200 OK", "RESET"}, ""},
	{"9112 8", "chunks without an end", last, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", nil, []string{"200 OK", "RESET", "!\r\n0\r\n\r\n"}, ""},
	{"9112 9.3.2", "answers in the order of the requests", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nof TARGET", nil, []string{"of /1HTTP/1.1 200", "of /2"}, ""},
	{"9112 9.6", "no request after one that closes", last + "GET /more HTTP/1.1\r\nHost: a\r\n\r\n", "", []string{"!/more"}, []string{"connection: close"}, ""},
	{"9112 9.6", "bytes after an answer belong to none", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", fine + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", nil, []string{"!evil"}, ""},
	// RFC 9110, what holds for all versions.
	{"9110 6.6.1", "Date is added", last, "", nil, []string{"date: "}, ""},
	{"9110 6.6.1", "Date is kept", last, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n", nil, []string{"date: x\r\n"}, ""},
	{"9110 7.6.1", "what Connection names goes no further", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-End: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: x-back\r\nX-Back: 1\r\nKeep-Alive: 5\r\nX-Far: 2\r\nContent-Length: 0\r\n\r\n", []string{"x-end: 2", "!x-hop", "!keep-alive"}, []string{"x-far: 2", "!x-back", "!keep-alive"}, ""},
	{"9110 7.6.2", "Max-Forwards is counted down", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\nConnection: close\r\n\r\n", "", []string{"max-forwards: 2\r\n"}, []string{"200 OK"}, ""},
	{"9110 7.6.2", "OPTIONS at its end", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n", "", []string{"!OPTIONS"}, []string{"200 OK", "content-length: 0"}, ""},
	{"9110 7.6.2", "TRACE at its end", "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nAuthorization: secret\r\nConnection: close\r\n\r\n", "", []string{"!TRACE"}, []string{"501 Not", "!secret"}, ""},
	{"9110 7.6.2", "no number", "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: -1\r\nConnection: close\r\n\r\n", "", []string{"!TRACE"}, []string{"400 Bad"}, ""},
	{"9110 7.6.2", "other methods leave it alone", "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n", "", []string{"max-forwards: 0"}, []string{"200 OK"}, ""},
	{"9110 7.8", "Upgrade that Connection does not name", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n", "", []string{"!upgrade", "!websocket"}, []string{"200 OK"}, ""},
	{"9110 7.8", "Upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "", []string{"!upgrade", "!websocket"}, []string{"200 OK"}, http10},
	{"9110 8.6", "no content is said", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "", []string{"content-length: 0\r\n"}, []string{"200 OK"}, ""},
	{"9110 8.6", "no length in 1xx", last, "HTTP/1.1 103 x\r\nContent-Length: 0\r\nLink: l\r\n\r\n" + fine, nil, []string{"HTTP/1.1 103 Early Hints\r\nlink: l\r\n\r\nHTTP/1.1 200"}, ""},
	{"9110 8.6", "no length with 204", last, "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", nil, []string{"HTTP/1.1 204 ", "!content-length"}, ""},
	{"9110 9.3.6", "CONNECT without a tunnel's route", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n", "", []string{"!CONNECT"}, []string{"403 For"}, ""},
	{"9110 10.1.1", "an expectation is met before the content", withBody + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", "", []string{"!expect:", "hi"}, []string{"200 OK"}, ""},
	{"9110 10.1.1", "an expectation of HTTP/1.0 is ignored", "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", "", []string{"!expect:"}, []string{"!100 Continue", "200 OK"}, http10},
	{"9110 10.1.1", "another expectation", withBody + "Expect: tea\r\nContent-Length: 2\r\n\r\nhi", "", []string{"!POST"}, []string{"417 Exp"}, ""},
	{"9110 15.2", "1xx are passed on", last, "HTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 x\r\nLink: l\r\nConnection: x-a\r\nX-A: 1\r\n\r\n" + fine, nil, []string{"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: l\r\n\r\nHTTP/1.1 200 OK\r\n", "!x-a"}, ""},
	{"9110 15.2", "not to a client of HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 103 x\r\nLink: l\r\n\r\n" + fine, nil, []string{"!103", "200 OK"}, http10},
	{"9110 15.2", "a 100 that the proxy's own answer stands for", last, "HTTP/1.1 100 Continue\r\n\r\n" + fine, nil, []string{"!100 Continue", "200 OK"}, ""},
	{"9110 15.2", "1xx without an end", last, strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 20) + fine, nil, []string{"502 Bad"}, ""},
	{"9110 15.2.2", "101 that nobody has asked for", last, "HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n", nil, []string{"502 Bad"}, ""},
	{"9110 15.5.22", "426 says to what", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "", []string{"!GET"}, []string{"426 Up", "upgrade: HTTP/1.1\r\n", "connection: close, upgrade\r\n"}, ""},
	{"9110 15.5.22", "426 of the server says to what", last, "HTTP/1.1 426 x\r\nUpgrade: tea\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", nil, []string{"426 Up", "upgrade: tea\r\n", "connection: close, upgrade\r\n"}, ""},
}

const http10 = "http_protocol_options: {accept_http_10: true}"

// TestRules has a row for each demand; the demands on single messages have theirs in
// TestRequests of package http1, those of HTTP/2 in test/h2spec.
func TestRules(t *testing.T) {
	for _, r := range rules {
		t.Run(r.section+" "+r.name, func(t *testing.T) {
			t.Parallel()
			var (
				mu   sync.Mutex
				seen bytes.Buffer
			)
			answer := r.answer
			if answer == "" {
				answer = fine
			}
			up := proxytest.Serve(t, func(_ int, c net.Conn) {
				b := bufio.NewReader(io.TeeReader(c, lockedWriter{&mu, &seen}))
				for {
					rq, err := http.ReadRequest(b)
					if err != nil {
						return
					}
					io.Copy(io.Discard, rq.Body)
					io.WriteString(c, strings.ReplaceAll(answer, "TARGET", rq.RequestURI))
					if strings.Contains(answer, "half") || !strings.Contains(answer, "\r\nContent-Length") && !strings.Contains(answer, "chunked") {
						return
					}
				}
			})
			p := newProxy(t, nil)
			p.cluster(staticCluster("up", up, ""))
			p.start("name: plain\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:\n" +
				indentKeep(manager(`route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {safe_regex: {regex: ".*"}}, route: {cluster: up}}]}]}`, r.options)))
			got := exchangeBytes(t, p.addr, r.send)
			mu.Lock()
			defer mu.Unlock()
			for _, side := range []struct {
				name, saw string
				want      []string
			}{{"the server sees", seen.String(), r.server}, {"the client sees", got, r.client}} {
				for _, want := range side.want {
					want, not := strings.CutPrefix(want, "!")
					if strings.Contains(side.saw, want) == not {
						t.Errorf("%s\n%.2000q\nwanted %q: %v", side.name, side.saw, want, !not)
					}
				}
			}
		})
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// exchangeBytes sends bytes and gives what comes back until the connection ends, with
// RESET after it if it does not end well.
func exchangeBytes(t testing.TB, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, text)
	all, err := io.ReadAll(c)
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		all = append(all, "RESET"...)
	case err != nil:
		t.Error(err)
	}
	return string(all)
}
