package http2

import (
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// data takes content (RFC 9113, 6.1 and 6.9).
func (c *Conn) data(f *xh2.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pingSent.IsZero() || c.o.PingInterval > 0 {
		c.heard = time.Now()
	}
	n, p := int32(f.Length), f.Data()
	if c.recvWindow -= n; c.recvWindow < 0 {
		return fatal(xh2.ErrCodeFlowControl, "more content than the connection's window")
	}
	if c.idle(f.StreamID) {
		return fatal(xh2.ErrCodeProtocol, "DATA on an idle stream")
	}
	st := c.streams[f.StreamID]
	if st == nil || st.reset || st.ended {
		c.credit(int(n))
		switch {
		case st != nil && !st.reset && !st.sent:
			st.abort(xh2.ErrCodeStreamClosed, ErrMalformed)
			c.notify(st)
		case st != nil && (st.quit || !st.reset), st == nil && !c.leaving && !c.wasAbandoned(f.StreamID):
			c.sendReset(f.StreamID, xh2.ErrCodeStreamClosed)
		}
		return c.flooded()
	}
	if st.recvWindow -= n; st.recvWindow < 0 {
		return c.refuseData(st, int(n), xh2.ErrCodeFlowControl)
	}
	st.got += int64(len(p))
	end := f.StreamEnded()
	if !c.server && !st.ready || st.length >= 0 && (st.got > st.length || end && st.got != st.length) {
		return c.refuseData(st, int(n), xh2.ErrCodeProtocol)
	}
	if c.server {
		c.credit(int(n) - len(p)) // padding
	} else {
		c.credit(int(n))
	}
	if pad := n - int32(len(p)); pad > 0 {
		st.unacked += pad
	}
	st.take(p)
	if end {
		st.ended = true
	}
	st.rcond.Broadcast()
	return nil
}

// refuseData resets a stream whose content is wrong.
func (c *Conn) refuseData(st *Stream, n int, code xh2.ErrCode) error {
	c.credit(n)
	c.n.MessagingErrors.Add(1)
	st.abort(code, ErrMalformed)
	c.notify(st)
	return c.flooded()
}

// beginBlock begins to decode a block of fields.
func (c *Conn) beginBlock(f *xh2.HeadersFrame) error {
	if c.server && f.StreamID%2 == 0 {
		return fatal(xh2.ErrCodeProtocol, "a stream of an even number")
	}
	kind := responseHead
	c.mu.Lock()
	st := c.streams[f.StreamID]
	switch {
	case c.server && st == nil:
		kind = requestHead
	case c.server, st != nil && st.ready:
		kind = trailerHead
	}
	idle := c.idle(f.StreamID)
	if !f.HeadersEnded() {
		c.headSince = time.Now()
		c.watch()
	}
	c.mu.Unlock()
	if !c.server && idle {
		return fatal(xh2.ErrCodeProtocol, "HEADERS on an idle stream")
	}
	c.cur.reset(kind)
	c.curID, c.curEnd, c.curBytes, c.parts = f.StreamID, f.StreamEnded(), 0, 0
	c.dec.SetEmitEnabled(true)
	if f.HasPriority() && f.Priority.StreamDep == f.StreamID {
		c.cur.bad("a stream that depends on itself")
	}
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// fragment decodes a part of the block. What is too large is decoded without being
// kept, for the sake of the table, and only to an end.
func (c *Conn) fragment(p []byte, end bool) error {
	c.curBytes += len(p)
	if c.parts++; c.curBytes > 2*c.o.HeadBytes || c.parts > 8+c.o.HeadBytes>>10 {
		return flood("a head of too many frames or bytes", func(n *Counters) { n.HeaderOverflow.Add(1) })
	}
	if _, err := c.dec.Write(p); err != nil {
		return fatal(xh2.ErrCodeCompression, "fields cannot be decoded")
	}
	if c.cur.tooLarge {
		c.dec.SetEmitEnabled(false)
	}
	if !end {
		return nil
	}
	if err := c.dec.Close(); err != nil {
		return fatal(xh2.ErrCodeCompression, "fields cannot be decoded")
	}
	c.cur.close(&c.o)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headSince = time.Time{}
	if c.o.PingInterval > 0 {
		c.heard = time.Now()
	}
	if c.cur.kind == requestHead {
		return c.request()
	}
	return c.received()
}

// received takes the head or the trailers of a stream that is open. The lock is held.
func (c *Conn) received() error {
	st := c.streams[c.curID]
	switch {
	case st == nil && !c.wasAbandoned(c.curID), st != nil && (st.quit || st.ended && st.sent && !st.reset):
		return fatal(xh2.ErrCodeStreamClosed, "HEADERS on a closed stream")
	case st == nil || st.reset:
		return nil
	case st.ended:
		st.abort(xh2.ErrCodeStreamClosed, ErrMalformed)
		c.notify(st)
		return c.flooded()
	case c.cur.tooLarge:
		c.n.HeaderOverflow.Add(1)
		st.abort(xh2.ErrCodeEnhanceYourCalm, ErrMalformed)
		c.notify(st)
		return c.flooded()
	case c.cur.kind == trailerHead:
		if !c.curEnd {
			c.cur.bad("trailers without an end")
		}
		if st.length >= 0 && st.got != st.length {
			c.cur.bad("less content than declared")
		}
	case c.curEnd && c.cur.status < 200:
		c.cur.bad("an interim answer that ends")
	case c.curEnd && c.cur.length > 0 && !st.bodiless(c.cur.status) && !st.out.open:
		c.cur.bad("less content than declared")
	}
	if c.cur.malformed != "" {
		return c.invalid(st)
	}
	if c.cur.kind == trailerHead {
		st.trailers, c.cur = c.cur, st.trailers
		st.hasTrailers = st.trailers.header.Len() > 0
		st.ended = true
		st.rcond.Broadcast()
		return nil
	}
	if c.cur.status < 200 {
		return c.receivedInterim(st)
	}
	st.head, c.cur = c.cur, st.head
	st.length = st.head.length
	switch {
	case st.switched():
		st.length = exchange.UnknownLength
	case st.bodiless(st.head.status):
		st.length = 0
	}
	st.ready, st.ended = true, c.curEnd
	st.rcond.Broadcast()
	return nil
}

// maxInterim bounds the 1xx answers before the final one; together they are no larger
// than one head.
const maxInterim = 16

func (c *Conn) receivedInterim(st *Stream) error {
	st.interim++
	if st.earlySize += c.cur.size; st.interim > maxInterim || st.earlySize > c.o.HeadBytes {
		c.cur.bad("too many interim answers")
		return c.invalid(st)
	}
	if c.cur.status == 100 {
		return nil
	}
	rs := exchange.Response{Status: c.cur.status}
	for _, f := range c.cur.header.Fields() {
		if f.Name != "content-length" {
			rs.Header.Add(f.Name, f.Value)
		}
	}
	st.early = append(st.early, rs)
	st.rcond.Broadcast()
	return nil
}

// invalid ends what brought a malformed head: the stream alone or the connection.
func (c *Conn) invalid(st *Stream) error {
	c.n.MessagingErrors.Add(1)
	if c.server && !c.o.StreamErrors && !c.cur.underscore {
		return fatal(xh2.ErrCodeProtocol, "malformed head: "+c.cur.malformed)
	}
	code := xh2.ErrCodeProtocol
	if c.cur.underscore {
		code = xh2.ErrCodeInternal // as Envoy: a client may send again what ends by PROTOCOL_ERROR
	}
	if st != nil {
		st.abort(code, ErrMalformed)
		c.notify(st)
	} else {
		c.sendReset(c.curID, code)
		c.abandon(c.curID)
	}
	return c.flooded()
}

// bodiless tells whether an answer of that status has no content, whatever its
// Content-Length says.
func (st *Stream) bodiless(status int) bool {
	return st.out.method == "HEAD" || status == 204 || status == 304
}
