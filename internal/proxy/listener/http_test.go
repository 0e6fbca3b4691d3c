package listener_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s", r.Method, r.Host, r.URL))
	for _, n := range []string{"X-Forwarded-Client-Cert", "X-Forwarded-Proto", "X-Request-Id", "X-Envoy-Internal", "X-Envoy-Attempt-Count", "X-Foo", "Connection", "Proxy-Authorization", "Trailer"} {
		for _, v := range r.Header.Values(n) {
			w.Header().Add("Got-"+n, v)
		}
	}
	fmt.Fprintf(w, "%d bytes", len(b))
	for k, v := range r.Trailer {
		fmt.Fprintf(w, " %s=%s", k, v)
	}
}

func TestPlainRequest(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start(plainListener(""))
	c := client(t)
	for i := range 20 {
		rs, err := c.Post("http://"+p.addr+"/a?b", "text/plain", strings.NewReader(strings.Repeat("x", i*1000)))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(rs.Body)
		rs.Body.Close()
		if rs.StatusCode != 200 || string(b) != fmt.Sprintf("%d bytes", i*1000) || rs.Header.Get("X-Seen") != "POST "+p.addr+" /a?b" {
			t.Fatalf("%d %q %v", rs.StatusCode, b, rs.Header)
		}
		if rs.Header.Get("Server") != "envoy" || rs.Header.Get("Got-X-Request-Id") == "" || rs.Header.Get("Got-X-Forwarded-Proto") != "http" {
			t.Fatalf("%v", rs.Header)
		}
	}
}

func TestPipelining(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, echo), "http_protocol_options: {enable_trailers: true}"))
	p.start(plainListener("http_protocol_options: {enable_trailers: true}"))
	got := raw(t, p.addr, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"+
		"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: v\r\n\r\nHEAD /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"GET a /1", "POST a /2", "POST a /3", "HEAD a /4", "\r\n\r\n0 bytes", "3 bytes", "2 bytes X-T=[v]"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if n := strings.Count(got, "HTTP/1.1 200 OK"); n != 4 {
		t.Errorf("%d answers", n)
	}
}

// TestStreaming sends 64 MiB up and down at once, and looks at the memory.
func TestStreaming(t *testing.T) {
	const size = 64 << 20
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}), ""))
	p.start(plainListener(""))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, length := range []int64{size, -1} {
		up, down := sha256.New(), sha256.New()
		src := io.TeeReader(io.LimitReader(rand.New(rand.NewSource(1)), size), up)
		rq, _ := http.NewRequest("POST", "http://"+p.addr+"/", io.NopCloser(src))
		rq.ContentLength = length
		rs, err := client(t).Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(down, rs.Body)
		rs.Body.Close()
		if err != nil || n != size || string(up.Sum(nil)) != string(down.Sum(nil)) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 24<<20 {
		t.Errorf("%d MiB allocated for 256 MiB carried", grown>>20)
	}
}

func TestEarlyAnswer(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
	}), ""))
	p.start(plainListener(""))
	rs, _ := one(t, p.addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc", "POST")
	if rs.StatusCode != 413 || !rs.Close {
		t.Errorf("%d, close %v", rs.StatusCode, rs.Close)
	}
}

func TestContinue(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start(plainListener(""))
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	r := bufio.NewReader(c)
	if l, err := r.ReadString('\n'); err != nil || l != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", l, err)
	}
	r.ReadString('\n')
	io.WriteString(c, "abc")
	rs, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(rs.Body); string(b) != "3 bytes" {
		t.Errorf("%q", b)
	}
}

func TestUpstreamFailures(t *testing.T) {
	dead, _ := net.Listen("tcp", "127.0.0.1:0")
	deadAddr := dead.Addr().String()
	dead.Close()
	answer := func(text string) string {
		return proxytest.Serve(t, func(_ int, c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, text)
		})
	}
	const before = "upstream connect error or disconnect/reset before headers. reset reason: "
	for _, tt := range []struct {
		name, addr string
		status     int
		body       string
	}{
		{"refused", deadAddr, 503, before + "remote connection failure"},
		{"closed", answer(""), 503, before + "connection termination"},
		{"half a head", answer("HTTP/1.1 200 OK\r\nContent-"), 503, before + "connection termination"},
		{"no HTTP", answer("hello\r\n\r\n"), 502, before + "protocol error"},
		{"two lengths", answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"), 502, before + "protocol error"},
		{"length and chunks", answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502, before + "protocol error"},
		{"fold", answer("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"), 502, before + "protocol error"},
		{"101 unasked", answer("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 502, before + "protocol error"},
		{"until close", answer("HTTP/1.1 200 OK\r\n\r\nall of it"), 200, "all of it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t, nil)
			p.cluster(staticCluster("up", tt.addr, ""))
			p.start(plainListener(""))
			rs, b := one(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
			if rs.StatusCode != tt.status || b != tt.body {
				t.Errorf("%d %q", rs.StatusCode, b)
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), ""))
		p.start(plainListener(""))
		rs, err := client(t).Get("http://" + p.addr + "/")
		if err == nil {
			_, err = io.ReadAll(rs.Body)
			rs.Body.Close()
		}
		if err == nil {
			t.Error("the client takes half an answer for a whole one")
		}
	})
	t.Run("no endpoint", func(t *testing.T) {
		p := newProxy(t, nil)
		p.cluster("{name: up, type: STATIC}")
		p.start(plainListener(""))
		if rs, b := one(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET"); rs.StatusCode != 503 || b != "no healthy upstream" {
			t.Errorf("%d %q", rs.StatusCode, b)
		}
	})
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) { <-release }), ""))
	t.Cleanup(func() { close(release) })
	p.start(strings.Replace(plainListener(""), "{cluster: up}", "{cluster: up, timeout: 0.1s}", 1))
	if rs, b := one(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET"); rs.StatusCode != 504 || b != "upstream request timeout" {
		t.Errorf("%d %q", rs.StatusCode, b)
	}
}

// TestStaleConnection closes each upstream connection after one answer that
// promised to keep it.
func TestStaleConnection(t *testing.T) {
	up := proxytest.Serve(t, func(_ int, c net.Conn) {
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", up, ""))
	p.start(plainListener(""))
	c := client(t)
	for i := range 50 {
		rs, err := c.Get("http://" + p.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(rs.Body)
		rs.Body.Close()
		if rs.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, rs.StatusCode, b)
		}
	}
}

func TestUpgrade(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		l, _ := rw.ReadString('\n')
		io.WriteString(c, "echo "+l)
	}), ""))
	p.start(plainListener("upgrade_configs: [{upgrade_type: websocket}]"))
	got := raw(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
	if !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\necho hello\n") {
		t.Errorf("%q", got)
	}
	p2 := newProxy(t, nil)
	p2.cluster(staticCluster("up", backend(t, echo), ""))
	p2.start(plainListener(""))
	if rs, b := one(t, p2.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET"); rs.StatusCode != 403 || b != "" {
		t.Errorf("%d %q", rs.StatusCode, b)
	}
}

// TestClusterNobodyHas: what a client calls a cluster is no name of one, such as in metrics,
// which could be as many as it likes.
func TestClusterNobodyHas(t *testing.T) {
	p := newProxy(t, nil)
	named := make(chan string, 10)
	p.opts.Observe = func(x *exchange.Exchange) { named <- strings.Clone(x.Cluster) }
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start(strings.Replace(plainListener(""), "cluster: up", "cluster_header: x-to", 1))
	for to, want := range map[string]struct {
		status int
		name   string
	}{"up": {200, "up"}, "any": {503, ""}} {
		rq, _ := http.NewRequest("GET", "http://"+p.addr, nil)
		rq.Header.Set("X-To", to)
		rs, err := client(t).Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		if got := <-named; got != want.name || rs.StatusCode != want.status {
			t.Errorf("%s: %s for %q", to, rs.Status, got)
		}
	}
}
