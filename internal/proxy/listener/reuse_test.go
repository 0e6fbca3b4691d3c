package listener_test

import (
	"bufio"
	ctls "crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestLateBytes: what an upstream sends after its answer is never the answer to
// another request.
func TestLateBytes(t *testing.T) {
	answered, sent := make(chan struct{}), make(chan struct{})
	up := proxytest.Serve(t, func(n int, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if n > 0 {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
				continue
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
			<-answered
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nPOISONED")
			close(sent)
		}
	})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", up, ""))
	p.start(plainListener(""))
	if rs, _ := one(t, p.addr, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HEAD"); rs.StatusCode != 200 {
		t.Fatal(rs.Status)
	}
	close(answered)
	<-sent
	if rs, body := one(t, p.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET"); rs.StatusCode != 200 || body != "good" {
		t.Errorf("%s %q", rs.Status, body)
	}
}

// TestStaleTLS: where an mTLS server has closed an idle connection in good order, the
// next POST gets a new one, as it does in clear.
func TestStaleTLS(t *testing.T) {
	a := newAuthority(t)
	server := a.issue(t, uriB, time.Now().Add(time.Hour))
	config := &ctls.Config{Certificates: []ctls.Certificate{*server}, NextProtos: []string{"istio"}}
	closed := make(chan struct{}, 10)
	up := proxytest.Serve(t, func(_ int, raw net.Conn) {
		c := ctls.Server(raw, config)
		if rq, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.Copy(io.Discard, rq.Body)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		c.Close()
		closed <- struct{}{}
	})
	p := newProxy(t, newSecrets(a, a.issue(t, uriA, time.Now().Add(time.Hour))))
	p.cluster(istio(mtlsCluster(up, uriB)))
	p.start(plainListener(""))
	for i := range 3 {
		rs, b := one(t, p.addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", "POST")
		if rs.StatusCode != 200 {
			t.Errorf("POST %d: %d %s", i, rs.StatusCode, b)
		}
		<-closed
	}
}
