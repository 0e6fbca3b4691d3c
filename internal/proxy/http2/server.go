package http2

import (
	"io"
	"net"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Serve serves a connection as its server until it ends, with all its requests, and
// closes it. First is what was read of it already. The error says what the client did
// wrong, without its words; nil if it only went.
func Serve(nc net.Conn, first []byte, h Handler, o Options, n *Counters) error {
	c := newConn(nc, first, o, n)
	c.server, c.h = true, h
	c.mu.Lock()
	c.begin()
	c.headSince = time.Now()
	c.watch()
	c.mu.Unlock()
	go c.write()
	c.look()
	err := c.preface()
	if err == nil {
		err = c.read()
	}
	c.die(err)
	<-c.written
	c.linger()
	nc.Close()
	c.served.Wait()
	if wrong, ok := err.(*connError); ok {
		return wrong
	}
	return nil
}

// preface reads what a client sends first.
func (c *Conn) preface() error {
	var got [len(xh2.ClientPreface)]byte
	s := &source{c: c}
	if _, err := io.ReadFull(s, got[:]); err != nil {
		return err
	}
	if string(got[:]) != xh2.ClientPreface {
		return fatal(xh2.ErrCodeProtocol, "not the preface of HTTP/2")
	}
	c.first = append(s.buf[s.r:s.w:s.w], c.first...)
	c.mu.Lock()
	c.headSince = time.Time{}
	c.mu.Unlock()
	return nil
}

// lingerBytes bounds what is read of a connection that has ended here, so that the
// peer can read why.
const lingerBytes = 256 << 10

func (c *Conn) linger() {
	c.nc.SetReadDeadline(time.Now().Add(lastWrite))
	_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
}

// request begins the stream of a request. The lock is held.
func (c *Conn) request() error {
	id := c.curID
	if id <= c.last {
		if c.wasAbandoned(id) {
			return nil
		}
		return fatal(xh2.ErrCodeStreamClosed, "HEADERS on a closed stream")
	}
	if c.leaving {
		return nil // above what GOAWAY named: the client sends it elsewhere
	}
	c.last = id
	if c.cur.malformed == "" && c.curEnd && c.cur.length > 0 {
		c.cur.bad("less content than declared")
	}
	switch {
	case c.cur.malformed != "":
		return c.invalid(nil)
	case c.cur.tooLarge:
		c.n.HeaderOverflow.Add(1)
		return c.refuse(xh2.ErrCodeEnhanceYourCalm)
	case len(c.streams) >= int(c.o.MaxStreams):
		return c.refuse(xh2.ErrCodeRefusedStream)
	}
	st := c.newStream()
	st.id, st.open = id, true
	st.head, c.cur = c.cur, st.head
	st.length, st.ended, st.ready = st.head.length, c.curEnd, true
	c.streams[id] = st
	c.opened++
	c.mu.Unlock()
	ok := c.h.Begin(st)
	c.mu.Lock()
	if !ok {
		st.abort(xh2.ErrCodeRefusedStream, ErrNotProcessed)
		c.remove(st)
		c.store(st)
		c.leave()
		return nil
	}
	c.served.Add(1)
	go c.serve(st)
	return nil
}

func (c *Conn) refuse(code xh2.ErrCode) error {
	c.sendReset(c.curID, code)
	c.abandon(c.curID)
	return c.flooded()
}

// serve serves a request and ends its stream.
func (c *Conn) serve(st *Stream) {
	defer c.served.Done()
	c.h.Serve(st)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !st.sent:
		st.abort(xh2.ErrCodeInternal, ErrClosed)
	case !st.ended:
		st.abort(xh2.ErrCodeNo, ErrClosed) // the rest of the request is not wanted (RFC 9113, 8.1)
	}
	c.remove(st)
	c.store(st)
}

// ReadRequest fills rq, whose Header and Trailer must be empty, with the request that
// the stream has brought. Its strings hold for ever.
func (st *Stream) ReadRequest(rq *exchange.Request) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	h := &st.head
	rq.Method, rq.Scheme, rq.Authority, rq.Path = h.method, h.scheme, h.authority, h.path
	rq.ProtoMajor, rq.ProtoMinor = 2, 0
	rq.Header, h.header = h.header, rq.Header
	st.Expect = h.expect
	st.out.method = h.method
	st.trailer = &rq.Trailer
	st.body = Body{st: st}
	rq.ContentLength, rq.Body = st.length, &st.body
	if st.ended && len(st.buf) == st.start && !st.hasTrailers {
		rq.ContentLength, rq.Body = 0, nil
	}
	if h.protocol != "" {
		h.askedFor(rq)
	}
}
