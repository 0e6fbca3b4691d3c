package listener_test

//lint:file-ignore SA1019 What is to be used instead of x/net's transport refuses ":protocol".

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	ctls "crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const (
	takesWebsocket = "upgrade_configs: [{upgrade_type: websocket}]\nhttp2_protocol_options: {allow_connect: true}"
	asksBy2        = `explicit_http_config: {http2_protocol_options: {allow_connect: true}}`
)

// websockets is a server that echoes what comes after its upgrade. It shows that it has
// understood, or not.
func websockets(t *testing.T, honest bool) string {
	return proxytest.Serve(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		rq, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if rq.Method != "GET" || rq.Header.Get("Upgrade") != "websocket" || rq.Header.Get("Sec-Websocket-Version") != "13" || rq.ContentLength != 0 {
			io.WriteString(c, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if strings.HasSuffix(rq.URL.Path, "/no") {
			io.WriteString(c, "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nnope")
			return
		}
		key := rq.Header.Get("Sec-Websocket-Key")
		if !honest {
			key = "something"
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: "+accept(key)+"\r\n\r\n")
		io.Copy(c, r)
	})
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hop is a proxy before addr; speaks says how it asks.
func hop(t *testing.T, addr, speaks string) string {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", addr, speaks))
	p.start(plainListener(takesWebsocket))
	return p.addr
}

// TestWebsocketOver2 takes websockets over both versions, between proxies and with a
// foreign client of HTTP/2 (RFC 8441).
func TestWebsocketOver2(t *testing.T) {
	up := websockets(t, true)
	for name, addr := range map[string]string{
		"to 1":           hop(t, up, ""),
		"to 2 to 1":      hop(t, hop(t, up, ""), speak(asksBy2)),
		"to 2 to 2 to 1": hop(t, hop(t, hop(t, up, ""), speak(asksBy2)), speak(asksBy2)),
	} {
		t.Run("1 "+name, func(t *testing.T) {
			c := dialClear(t, addr)
			io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			r := bufio.NewReader(c)
			rs, err := http.ReadResponse(r, nil)
			if err != nil || rs.StatusCode != 101 || rs.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || rs.Header.Get("Sec-Websocket-Protocol") != "chat" {
				t.Fatalf("%v %v", rs, err)
			}
			talk(t, c, r)
			c.(*net.TCPConn).CloseWrite()
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
			rs, body := one(t, addr, "GET /no HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "GET")
			if rs.StatusCode != 403 || body != "nope" {
				t.Errorf("%s %q", rs.Status, body)
			}
		})
		t.Run("2 "+name, func(t *testing.T) {
			tr := clear2(t)
			for range 2 { // on one connection
				w, rs := connect2(t, tr, addr, "/chat")
				if rs.StatusCode != 200 || rs.Header.Get("Sec-Websocket-Accept") != "" || rs.Header.Get("Sec-Websocket-Protocol") != "chat" {
					t.Fatalf("%v", rs)
				}
				talk(t, w, rs.Body)
				w.Close()
				if b, err := io.ReadAll(rs.Body); len(b) > 0 || err != nil {
					t.Errorf("after the end: %q %v", b, err)
				}
			}
			w, rs := connect2(t, tr, addr, "/no")
			w.Close()
			if b, _ := io.ReadAll(rs.Body); rs.StatusCode != 403 || string(b) != "nope" {
				t.Errorf("%s %q", rs.Status, b)
			}
		})
	}
}

// TestWebsocketRefused: what is not understood, allowed or named ends in an answer.
func TestWebsocketRefused(t *testing.T) {
	up := websockets(t, true)
	if w, rs := connect2(t, clear2(t), hop(t, websockets(t, false), ""), "/chat"); rs.StatusCode != 502 {
		t.Errorf("a server that has not understood: %s", rs.Status)
	} else {
		w.Close()
	}
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", up, ""))
	p.start(plainListener("http2_protocol_options: {allow_connect: true}"))
	if w, rs := connect2(t, clear2(t), p.addr, "/chat"); rs.StatusCode != 403 {
		t.Errorf("an upgrade that is not configured: %s", rs.Status)
	} else {
		w.Close()
	}
	q := newProxy(t, nil)
	q.cluster(staticCluster("up", p.addr, speak(explicit2)))
	q.start(plainListener(takesWebsocket))
	const ask = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if rs, _ := one(t, q.addr, ask, "GET"); rs.StatusCode != 502 {
		t.Errorf("a cluster that must not ask: %s", rs.Status)
	}
	q.cluster(staticCluster("up", backend2(t, false, echo), speak(asksBy2)))
	if rs, _ := one(t, q.addr, ask, "GET"); rs.StatusCode != 502 {
		t.Errorf("a server that does not take it: %s", rs.Status)
	}
}

// TestWebsocketOver2Revoked: a stream that was let in is judged again as an upgraded
// connection is.
func TestWebsocketOver2Revoked(t *testing.T) {
	u := &users{in: map[string]allowance{"ann": always}, seen: make(chan string, 100)}
	p := newProxy(t, nil)
	p.opts.Filters = u.factory(t)
	p.cluster(staticCluster("up", websockets(t, true), ""))
	p.start(strings.Replace(plainListener(takesWebsocket), "http_filters:", usersFilter, 1))
	w, rs := connect2(t, clear2(t), p.addr, "/chat", "X-User", "ann")
	talk(t, w, rs.Body)
	u.set("ann", 0)
	p.Rejudge()
	if _, err := rs.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the stream goes on: %v", err)
	}
}

func dialClear(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func clear2(t *testing.T) *xh2.Transport {
	tr := &xh2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *ctls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// connect2 asks for a websocket by extended CONNECT.
func connect2(t *testing.T, tr *xh2.Transport, addr, path string, header ...string) (io.WriteCloser, *http.Response) {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	rq, _ := http.NewRequestWithContext(ctx, "CONNECT", "http://"+addr+path, r)
	rq.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	for i := 0; i < len(header); i += 2 {
		rq.Header.Set(header[i], header[i+1])
	}
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); rs.Body.Close() })
	return w, rs
}

// talk sends small and large messages and reads their echoes.
func talk(t *testing.T, w io.Writer, r io.Reader) {
	t.Helper()
	for _, size := range []int{1, 300, 1 << 20} {
		message := bytes.Repeat([]byte{'x'}, size)
		failed := make(chan error, 1)
		go func() { _, err := w.Write(message); failed <- err }()
		got := make([]byte, size)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}
