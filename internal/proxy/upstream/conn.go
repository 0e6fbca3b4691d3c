package upstream

import (
	ctls "crypto/tls"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/netconn"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// Writer sends a request: an http1.Writer, or a stream of HTTP/2.
type Writer interface {
	Request(rq *exchange.Request, last bool) error
	Bytes([]byte) error
	Flush() error
	Copy(src io.Reader, chunked bool, trailer *exchange.Header) error
}

// Conn is a request's way to a host: a connection of HTTP/1.1, in use by one request
// at a time, or a stream of HTTP/2.
type Conn struct {
	net.Conn
	W Writer
	// Reused tells that the connection has carried a request before: the host may have
	// closed it without our knowing.
	Reused bool

	r          *http1.Reader // of HTTP/1.1
	w          *http1.Writer
	stream     *http2.Stream // or
	host       *Host
	about      *exchange.UpstreamConn
	pool       *pool
	generation uint64
	requests   int64
	idleSince  time.Time
	until      time.Time // the last time to begin a request; zero: none
	raw        syscall.RawConn
	alive      bool
	peek       func(fd uintptr)
}

func newConn(h *Host, p *pool, nc net.Conn, generation uint64) *Conn {
	h.cluster.Counts.CxHTTP1.Inc()
	all := h.cluster.Counts.traffic(nc)
	w := http1.NewWriter(all)
	c := &Conn{Conn: all, r: http1.NewReader(nc, nil), w: w, W: w, host: h, pool: p, generation: generation, until: h.until(nc)}
	c.r.Received = all.Received
	c.r.Limits.Trailers = h.cluster.trailers
	if under, ok := netconn.Find[*counted](nc); ok {
		c.about = &under.about
		if raw, err := under.SyscallConn(); err == nil {
			c.raw = raw
			c.peek = c.peekByte
		}
	}
	return c
}

// About tells of a connection that Connect has given.
func About(nc net.Conn) *exchange.UpstreamConn {
	if c, ok := netconn.Find[*counted](nc); ok {
		return &c.about
	}
	return nil
}

// Head waits for a head of the answer, which may be an interim one, and parses it.
// Errors are those of the codec, or the connection's.
func (c *Conn) Head(rs *exchange.Response, method string) error {
	if c.stream != nil {
		return c.stream.ReadResponse(rs)
	}
	for {
		ok, err := c.r.Complete()
		if err != nil {
			return err
		}
		if ok {
			return c.r.Response(rs, method)
		}
		if err := c.r.Fill(); err != nil {
			return err
		}
	}
}

// Interim ends an interim answer: another head follows.
func (c *Conn) Interim() {
	if c.stream == nil {
		c.r.Next()
	}
}

// Host gives the endpoint that the connection leads to.
func (c *Conn) Host() *Host { return c.host }

// About tells of the connection, which other requests may share.
func (c *Conn) About() *exchange.UpstreamConn { return c.about }

// HTTP2 tells whether it is a stream of HTTP/2.
func (c *Conn) HTTP2() bool { return c.stream != nil }

// KeepAlive tells whether the answer allows another request.
func (c *Conn) KeepAlive() bool { return c.stream != nil || c.r.KeepAlive }

// Trailers tells whether trailers of the request are sent.
func (c *Conn) Trailers() bool { return c.stream != nil || c.r.Limits.Trailers }

// Untouched tells whether nothing of an answer has come.
func (c *Conn) Untouched() bool {
	if c.stream != nil {
		return !c.stream.Answered()
	}
	return c.r.Buffered() == 0
}

// Take gives the bytes that follow the head of an upgrade.
func (c *Conn) Take() []byte {
	if c.stream != nil {
		return nil
	}
	return c.r.Take()
}

// Put ends the request. The connection goes back to the pool if reuse is set,
// its host is still wanted, and it has not carried too many requests.
func (c *Conn) Put(reuse bool) {
	h, cl := c.host, c.host.cluster
	h.endActive(c.pool.key.priority)
	if c.stream != nil {
		c.release()
		return
	}
	c.requests++
	if cl.maxPerConn > 0 && c.requests >= cl.maxPerConn {
		cl.Counts.CxMaxRequests.Inc()
		reuse = false
	}
	if !reuse || c.r.Buffered() > 0 || c.generation != cl.recycle.Load() {
		c.close()
		return
	}
	c.r.Next()
	c.idleSince = cl.opts.Now()
	if c.expired(c.idleSince) {
		c.close()
		return
	}
	c.giveBack()
}

// giveBack gives a connection of HTTP/1.1 to who waits for one, or to the pool.
func (c *Conn) giveBack() {
	h, p := c.host, c.pool
	p.mu.Lock()
	if !p.draining {
		if w := p.next(); w != nil {
			more := len(p.waiting) > 0
			p.mu.Unlock()
			if w <- c; more {
				h.cluster.Counts.CxOverflow.Inc()
			}
			return
		}
	}
	if p.draining || len(p.idle) >= p.room() {
		p.mu.Unlock()
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if len(p.idle) == 1 {
		if p.sweep == nil {
			p.sweep = time.AfterFunc(sweepEvery, func() { h.sweepIdle(p) })
		} else {
			p.sweep.Reset(sweepEvery)
		}
	}
	p.mu.Unlock()
}

const (
	maxIdle    = 4096
	sweepEvery = 3 * time.Second
)

// until tells when a new connection is to carry no more requests: when the certificates
// of its host end, if anybody asks, and when it is too old. Zero: never.
func (h *Host) until(nc net.Conn) (end time.Time) {
	if t, ok := nc.(*ctls.Conn); ok && h.socket.Verifies() {
		if chain := t.ConnectionState().PeerCertificates; len(chain) > 0 {
			end = tls.Ends(chain)
		}
	}
	if c := h.cluster; c.maxAge > 0 {
		if old := c.opts.Now().Add(c.maxAge); end.IsZero() || old.Before(end) {
			end = old
		}
	}
	return end
}

// expired tells whether the time of a connection's last request is over.
func (c *Conn) expired(now time.Time) bool { return !c.until.IsZero() && now.After(c.until) }

// close closes the connection for good.
func (c *Conn) close() {
	c.Conn.Close()
	c.r.Close()
	c.w.Close()
}

// Alive looks, without waiting, whether the host has closed the connection, or has
// sent what nobody asked for: bytes that come between two requests would be taken
// for the answer of the next. TLS is no exception, since what it sends by itself
// came before the first answer, and what comes later is most likely its end. That the
// deadline of the last request has passed says nothing: the look heeds none.
func (c *Conn) Alive() bool {
	if c.raw == nil || c.stream != nil {
		return true
	}
	c.alive = false
	if err := c.raw.Control(c.peek); err != nil {
		return false
	}
	return c.alive
}

func (c *Conn) peekByte(fd uintptr) {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.alive = err == syscall.EAGAIN || err == syscall.EINTR
}

// sweepIdle closes idle connections that the host closed or that were idle for
// too long.
func (h *Host) sweepIdle(p *pool) {
	now := h.cluster.opts.Now()
	var dead []*Conn
	p.mu.Lock()
	kept := p.idle[:0]
	for _, c := range p.idle {
		if c.expired(now) || now.Sub(c.idleSince) > h.cluster.idleTimeout || !c.Alive() {
			dead = append(dead, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	if len(kept) > 0 {
		p.sweep.Reset(sweepEvery)
	}
	p.mu.Unlock()
	for _, c := range dead {
		c.close()
	}
}
