package upstream

import (
	"context"
	ctls "crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http2"
)

// protocol says what a cluster's endpoints are spoken to in.
type protocol uint8

const (
	onlyHTTP1 protocol = iota
	onlyHTTP2
	asClient // what the client of the request speaks
	byALPN   // what the host chooses
)

// Names of ALPN.
const (
	http1ALPN = "http/1.1"
	http2ALPN = "h2"
)

// shares tells whether requests of a client that speaks that version share a
// connection, if the host agrees.
func (p protocol) shares(major int) bool {
	return p == onlyHTTP2 || p == asClient && major == 2 || p == byALPN
}

func (c *Cluster) http2Options(m *corev3.Http2ProtocolOptions) (err error) {
	c.http2, err = http2.Compile(m)
	return err
}

// shared is a connection of HTTP/2 with many requests at a time.
type shared struct {
	c          *http2.Conn
	nc         net.Conn // below it
	about      *exchange.UpstreamConn
	generation uint64
	until      time.Time // the last time to begin a request; zero: none
}

// stale tells whether a connection must not carry another request.
func (s *shared) stale(h *Host) bool {
	c := h.cluster
	return s.generation != c.recycle.Load() || !s.until.IsZero() && c.opts.Now().After(s.until)
}

// dialing is a shared connection on its way, which others wait for.
type dialing struct {
	done chan struct{}
	err  error // valid once done is closed; nil, too, if who made it has left: others try by themselves
}

// openStream gives a stream of a connection that has one free; if none has, of one
// that is made. Pending: the request is counted as waiting already.
func (h *Host) openStream(ctx context.Context, p *pool, pending bool) (*Conn, error) {
	for waits := pending; ; {
		p.mu.Lock()
		if conn := h.takeStream(p); conn != nil {
			p.mu.Unlock()
			return conn, nil
		}
		if !waits {
			if err := h.beginPending(p.key.priority, true); err != nil {
				p.mu.Unlock()
				return nil, err
			}
			waits = true
			defer h.endPending(p.key.priority)
		}
		if p.single {
			p.mu.Unlock()
			return h.share(ctx, p)
		}
		d := p.dialing
		mine := d == nil
		if mine {
			d = &dialing{done: make(chan struct{})}
			p.dialing = d
		}
		p.mu.Unlock()
		if mine {
			conn, err := h.share(ctx, p)
			p.mu.Lock()
			p.dialing = nil
			p.mu.Unlock()
			if ctx.Err() == nil {
				d.err = err
			}
			close(d.done)
			return conn, err
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, &ConnectError{Timeout: true, Err: ctx.Err()}
		}
		if d.err != nil {
			return nil, d.err
		}
	}
}

// takeStream reserves a stream of a connection, nil if none is free. Connections that
// take none any more are left to end. The lock is held.
func (h *Host) takeStream(p *pool) *Conn {
	for i := 0; i < len(p.multi); {
		s := p.multi[i]
		if !s.stale(h) {
			st, err := s.c.Open()
			if err == nil {
				conn := streams.Get().(*Conn)
				*conn = Conn{Conn: st, W: st, stream: st, host: h, about: s.about, pool: p, Reused: s.c.Streams() > 0}
				if most := h.cluster.maxPerConn; most > 0 && int64(s.c.Reserved()) >= most {
					s.c.Shutdown()
				}
				return conn
			}
			if errors.Is(err, http2.ErrFull) {
				i++
				continue
			}
		} else {
			s.c.Shutdown()
		}
		p.multi = slices.Delete(p.multi, i, i+1)
	}
	return nil
}

// freeStream is takeStream for who does not hold the pool's lock.
func (h *Host) freeStream(p *pool) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return h.takeStream(p)
}

// streams are Conns of streams that nobody uses.
var streams = sync.Pool{New: func() any { return new(Conn) }}

// release ends the use of a stream.
func (c *Conn) release() {
	more := false
	if c.pool.waits.Load() > 0 {
		more = c.giveRoom()
	} else {
		c.stream.Release()
		more = c.pool.wake() // who has begun to wait meanwhile
	}
	if more {
		c.host.cluster.Counts.CxOverflow.Inc()
	}
	*c = Conn{}
	streams.Put(c)
}

// giveRoom ends the use of a stream while others wait: they have the place, and not whoever
// comes now. It tells whether more wait.
func (c *Conn) giveRoom() (more bool) {
	p := c.pool
	p.mu.Lock()
	c.stream.Release()
	given := c.host.giveStreams(p)
	more = len(p.waiting) > 0
	p.mu.Unlock()
	if !given {
		return p.wake()
	}
	return more
}

// giveStreams gives who waits the streams that are free, and tells whether there was one. The
// lock is held.
func (h *Host) giveStreams(p *pool) (given bool) {
	for len(p.waiting) > 0 {
		conn := h.takeStream(p)
		if conn == nil {
			break
		}
		given = true
		p.next() <- conn
	}
	return given
}

// share makes another connection and gives its first stream, or the connection
// itself, if the host chooses HTTP/1.1.
func (h *Host) share(ctx context.Context, p *pool) (conn *Conn, err error) {
	c := h.cluster
	var nc net.Conn
	generation := c.recycle.Load()
	if c.speaks == byALPN {
		nc, err = h.dialRequests(ctx, p, http2ALPN, http1ALPN)
	} else {
		nc, err = h.dialRequests(ctx, p, http2ALPN)
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.single = c.speaks == byALPN && negotiated(nc) != http2ALPN; p.single {
		return newConn(h, p, nc, generation), nil
	}
	c.Counts.CxHTTP2.Inc()
	o := c.http2
	o.Idle = c.idleTimeout
	s := &shared{nc: nc, about: About(nc), generation: generation, until: h.until(nc)}
	var old *time.Timer // ends a connection that nobody asks for again
	if c.maxAge > 0 {
		old = time.AfterFunc(c.maxAge, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			s.c.Shutdown()
		})
	}
	s.c = http2.Dial(c.Counts.traffic(nc), o, c.opts.HTTP2, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		h.giveStreams(p)
	}, func() {
		if old != nil {
			old.Stop()
		}
	})
	p.multi = append(p.multi, s)
	conn = h.takeStream(p)
	if p.draining {
		s.c.Shutdown()
	}
	if conn == nil {
		return nil, &ConnectError{Err: http2.ErrClosed}
	}
	return conn, nil
}

// negotiated gives the protocol that ALPN has agreed on, "" if none.
func negotiated(nc net.Conn) string {
	if t, ok := nc.(*ctls.Conn); ok {
		return t.ConnectionState().NegotiatedProtocol
	}
	return ""
}
