package upstream

import (
	ctls "crypto/tls"
	"net"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// Conn is a connection to a host, in use by one request at a time.
type Conn struct {
	net.Conn
	R *http1.Reader
	W *http1.Writer
	// Reused tells that it has carried a request before: the host may have
	// closed it without our knowing.
	Reused bool

	host       *Host
	generation uint64
	requests   int64
	idleSince  time.Time
	until      time.Time // when the host's certificates end; zero: nobody asks
	raw        syscall.RawConn
	alive      bool
	peek       func(fd uintptr) bool
}

func newConn(h *Host, nc net.Conn, generation uint64) *Conn {
	c := &Conn{Conn: nc, R: http1.NewReader(nc, nil), W: http1.NewWriter(nc), host: h, generation: generation}
	c.R.Limits.Trailers = h.cluster.trailers
	if t, ok := nc.(*ctls.Conn); ok && h.socket.Verifies() {
		if chain := t.ConnectionState().PeerCertificates; len(chain) > 0 {
			c.until = tls.Ends(chain)
		}
	}
	under := nc
	for {
		t, ok := under.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		under = t.NetConn()
	}
	if s, ok := under.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
			c.peek = c.peekByte
		}
	}
	return c
}

// Put ends the request. The connection goes back to the pool if reuse is set,
// its host is still wanted, and it has not carried too many requests.
func (c *Conn) Put(reuse bool) {
	h, cl := c.host, c.host.cluster
	h.active.Add(-1)
	cl.active.Add(-1)
	c.requests++
	if !reuse || c.R.Buffered() > 0 || cl.maxPerConn > 0 && c.requests >= cl.maxPerConn || c.generation != cl.recycle.Load() {
		c.close()
		return
	}
	c.R.Next()
	c.idleSince = cl.opts.Now()
	if c.expired(c.idleSince) {
		c.close()
		return
	}
	h.mu.Lock()
	if h.draining || len(h.idle) >= maxIdle {
		h.mu.Unlock()
		c.close()
		return
	}
	h.idle = append(h.idle, c)
	if len(h.idle) == 1 {
		if h.sweep == nil {
			h.sweep = time.AfterFunc(sweepEvery, h.sweepIdle)
		} else {
			h.sweep.Reset(sweepEvery)
		}
	}
	h.mu.Unlock()
}

const (
	maxIdle    = 4096
	sweepEvery = 3 * time.Second
)

// expired tells whether the host could not make such a connection any more.
func (c *Conn) expired(now time.Time) bool { return !c.until.IsZero() && now.After(c.until) }

// close closes the connection for good.
func (c *Conn) close() {
	c.Conn.Close()
	c.R.Close()
	c.W.Close()
	c.host.cluster.conns.Add(-1)
}

// Alive looks, without waiting, whether the host has closed the connection, or has
// sent what nobody asked for: bytes that come between two requests would be taken
// for the answer of the next. TLS is no exception, since what it sends by itself
// came before the first answer, and what comes later is most likely its end.
func (c *Conn) Alive() bool {
	if c.raw == nil {
		return true
	}
	c.alive = false
	if err := c.raw.Read(c.peek); err != nil {
		return false
	}
	return c.alive
}

func (c *Conn) peekByte(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.alive = err == syscall.EAGAIN || err == syscall.EINTR
	return true
}

// sweepIdle closes idle connections that the host closed or that were idle for
// too long.
func (h *Host) sweepIdle() {
	now := h.cluster.opts.Now()
	var dead []*Conn
	h.mu.Lock()
	kept := h.idle[:0]
	for _, c := range h.idle {
		if c.expired(now) || now.Sub(c.idleSince) > h.cluster.idleTimeout || !c.Alive() {
			dead = append(dead, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(h.idle[len(kept):])
	h.idle = kept
	if len(kept) > 0 {
		h.sweep.Reset(sweepEvery)
	}
	h.mu.Unlock()
	for _, c := range dead {
		c.close()
	}
}
