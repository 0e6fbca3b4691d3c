// Package tunnel carries bytes both ways between two connections, for TCP
// filters, CONNECT and upgrades. It knows no protocol.
package tunnel

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/netconn"
)

// Run copies between a and b until both ways have ended or nothing was carried
// for the idle time (0: no bound). First is what was read of a already and goes
// to b before the rest. The end of one way is passed on as a half-close. Both
// connections are closed when it returns. It gives the bytes from a and from b.
func Run(a, b net.Conn, first []byte, idle time.Duration) (fromA, fromB int64) {
	t := &run{idle: idle}
	defer a.Close()
	defer b.Close()
	t.last.Store(time.Now().UnixNano())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fromB = t.way(a, b)
	}()
	if len(first) > 0 {
		n, err := b.Write(first)
		fromA = int64(n)
		if err != nil {
			a.Close()
			b.Close()
			<-done
			return fromA, fromB
		}
	}
	fromA += t.way(b, a)
	<-done
	return fromA, fromB
}

type run struct {
	idle time.Duration
	last atomic.Int64 // when a byte was carried, either way
}

const bufferSize = 32 << 10

// way copies from src to dst.
func (t *run) way(dst, src net.Conn) (n int64) {
	buf := make([]byte, bufferSize)
	for {
		if t.idle > 0 {
			src.SetReadDeadline(time.Unix(0, t.last.Load()).Add(t.idle))
		}
		k, err := src.Read(buf)
		if k > 0 {
			t.last.Store(time.Now().UnixNano())
			if t.idle > 0 {
				dst.SetWriteDeadline(time.Now().Add(t.idle))
			}
			w, werr := dst.Write(buf[:k])
			n += int64(w)
			if werr != nil {
				src.Close()
				dst.Close()
				return n
			}
		}
		if err == nil {
			continue
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() && time.Since(time.Unix(0, t.last.Load())) < t.idle {
			continue // the other way was busy meanwhile
		}
		if err != io.EOF {
			src.Close()
			dst.Close()
			return n
		}
		if errors.Is(netconn.CloseWrite(dst), errors.ErrUnsupported) {
			dst.Close()
		}
		return n
	}
}

// Reset closes a connection so that its peer sees that what came is not all.
func Reset(c net.Conn) {
	c = netconn.Innermost(c) // by what is around it, TLS would say that this was the end
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}
