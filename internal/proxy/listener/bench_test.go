package listener_test

import (
	"net"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const benchAnswer = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 04:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 12\r\nConnection: keep-alive\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\n\r\nhello world\n"

func benchHop(b *testing.B, addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 4096)
	request := []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1:9120\r\nUser-Agent: wrk\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlain is one hop over loopback, client and upstream included.
func BenchmarkPlain(b *testing.B) {
	p := newProxy(b, nil)
	p.cluster(staticCluster("up", proxytest.Answering(b, benchAnswer), ""))
	p.start(plainListener(""))
	benchHop(b, p.addr)
}

// BenchmarkDirect is the same without the proxy: the difference is its cost.
func BenchmarkDirect(b *testing.B) { benchHop(b, proxytest.Answering(b, benchAnswer)) }
