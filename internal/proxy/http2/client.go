package http2

import (
	"net"
	"os"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Dial begins HTTP/2 as the client on a connection. Room is called when the server takes more
// streams at once than before, ended when the connection is closed.
func Dial(nc net.Conn, o Options, n *Counters, room, ended func()) *Conn {
	c := newConn(nc, nil, o, n)
	c.room = room
	c.mu.Lock()
	c.out = append(buffer.Get(buffer.Small)[:0], xh2.ClientPreface...)
	c.begin()
	c.watch()
	c.mu.Unlock()
	go c.write()
	go func() {
		c.die(c.read())
		<-c.written
		nc.Close()
		ended()
	}()
	return c
}

// Open reserves a stream: ErrFull if the connection has no more now, ErrClosed if it
// takes none any more. The user calls Release in the end.
func (c *Conn) Open() (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil || c.leaving || c.goneAway || c.ending || c.last > 1<<30:
		return nil, ErrClosed
	case c.mostStreams() == 0:
		c.leave()
		return nil, ErrClosed
	case c.active >= int(c.mostStreams()):
		return nil, ErrFull
	}
	c.active++
	c.reserved++
	st := c.newStream()
	return st, nil
}

// mostStreams is how many a client may have open. The lock is held.
func (c *Conn) mostStreams() uint32 { return min(c.o.MaxStreams, c.peerStreams) }

// Reserved counts the streams that were ever opened.
func (c *Conn) Reserved() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reserved
}

// Active counts the streams that are in use.
func (c *Conn) Active() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active
}

// Release ends the use of a stream of Open; if it has not ended both ways it is reset.
func (st *Stream) Release() {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	st.abort(xh2.ErrCodeCancel, ErrClosed)
	c.active--
	c.remove(st)
	c.store(st)
}

// ReadResponse waits for a head of the answer, which may be an interim one, and fills
// rs, whose Header and Trailer must be empty. Its strings hold for ever.
func (st *Stream) ReadResponse(rs *exchange.Response) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for !st.ready && len(st.early) == 0 {
		switch {
		case st.err != nil:
			return st.err
		case over(st.rdead):
			return os.ErrDeadlineExceeded
		}
		st.rcond.Wait()
	}
	if len(st.early) > 0 {
		rs.Status, rs.Header = st.early[0].Status, st.early[0].Header
		st.early = st.early[1:]
		return nil
	}
	h := &st.head
	rs.Status = h.status
	rs.Header, h.header = h.header, rs.Header
	st.trailer = &rs.Trailer
	st.body = Body{st: st}
	rs.ContentLength, rs.Body = st.length, &st.body
	if st.bodiless(h.status) {
		rs.ContentLength = h.length
	}
	if st.switched() {
		rs.Status, rs.ContentLength, rs.Body = 101, 0, nil
		rs.Header.Del("content-length")
		rs.Header.Add("upgrade", st.out.rq.Upgrade)
		return nil
	}
	if st.ended && len(st.buf) == st.start && !st.hasTrailers {
		rs.Body = nil
		if !st.bodiless(h.status) {
			rs.ContentLength = 0
		}
	}
	return nil
}

// Answered tells whether anything of an answer has come.
func (st *Stream) Answered() bool {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	return st.ready || st.interim > 0
}
