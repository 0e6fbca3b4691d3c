package proxytest

import (
	"net"
	"sync"
	"testing"
)

// Serve is a TCP server at a port of its own. Each connection, numbered from 0, has a
// goroutine and is closed when handle returns. At the test's end all are closed and
// waited for.
func Serve(t testing.TB, handle func(n int, c net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		ended   bool
		open    = map[net.Conn]bool{}
	)
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		ended = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	running.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if ended {
				c.Close()
			}
			open[c] = true
			mu.Unlock()
			running.Go(func() {
				handle(n, c)
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	return ln.Addr().String()
}

// Answering is a server that costs nothing: it answers each read with the same bytes.
func Answering(t testing.TB, text string) (addr string) {
	t.Helper()
	answer := []byte(text)
	return Serve(t, func(_ int, c net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
}
