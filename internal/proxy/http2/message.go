package http2

import (
	"io"
	"os"
	"unsafe"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// message is what a stream is about to send.
type message struct {
	method string // of the request
	rq     *exchange.Request
	rs     *exchange.Response
	head   bool // the head is not sent yet
	none   bool // no content may follow
	open   bool // another protocol follows: Flush does not end the stream
	body   []byte
	n      int64 // bytes of content sent
}

// Request holds back the head of rq, ready for its content.
func (st *Stream) Request(rq *exchange.Request, _ bool) error {
	if !sendable(&rq.Header) || !http1.ValidTarget(rq.Path) && rq.Method != "CONNECT" || !http1.ValidAuthority(rq.Authority) || !http1.ValidMethod(rq.Method, true) {
		return http1.ErrUnsent
	}
	if rq.Upgrade != "" {
		if err := st.takesProtocols(); err != nil {
			return err
		}
	}
	st.out = message{method: rq.Method, rq: rq, head: true, open: rq.Upgrade != ""}
	return nil
}

// Response holds back the head of rs, ready for its content.
func (st *Stream) Response(rs *exchange.Response, f http1.Framing) (bool, error) {
	if !sendable(&rs.Header) {
		return false, http1.ErrUnsent
	}
	none := f.Method == "HEAD" || rs.Status == 204 || rs.Status == 304
	st.out = message{method: f.Method, rs: rs, head: true, none: none, open: rs.Status == 101}
	return false, nil
}

// Bytes holds back all of the content. It must hold until Flush.
func (st *Stream) Bytes(b []byte) error {
	st.out.body = b
	return nil
}

// String is Bytes for a text.
func (st *Stream) String(s string) error { return st.Bytes(unsafe.Slice(unsafe.StringData(s), len(s))) }

// Content counts the bytes of content that were sent.
func (st *Stream) Content() int64 { return st.out.n }

// Discard drops what is held back.
func (st *Stream) Discard() { st.out.head, st.out.body = false, nil }

// Flush sends what is held back, and with it the end of the message.
func (st *Stream) Flush() error {
	b := st.out.body
	st.out.body = nil
	if st.out.none {
		b = nil
	}
	return st.send(b, !st.out.open)
}

// CloseWrite ends what is sent after Flush has left the stream open.
func (st *Stream) CloseWrite() error { return st.send(nil, true) }

// Interim sends an answer of 1xx at once; the final one follows.
func (st *Stream) Interim(rs *exchange.Response) error {
	if !sendable(&rs.Header) {
		return http1.ErrUnsent
	}
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.room(); err != nil {
		return err
	}
	at := c.openBlock(st.id)
	c.responseFields(rs, true)
	c.closeBlock(at, st.id, false)
	return nil
}

// Copy sends the content of src, then the trailers. What was read is sent before it
// waits for more. A failure of src is an *http1.ReadError.
func (st *Stream) Copy(src io.Reader, _ bool, trailer *exchange.Header) error {
	if st.out.none {
		return st.send(nil, true)
	}
	buf := buffer.Get(buffer.Medium)[:buffer.Medium]
	defer buffer.Put(buf)
	more, _ := src.(interface{ Buffered() int })
	done, _ := src.(interface{ Done() bool })
	for {
		if st.out.head && (more == nil || more.Buffered() == 0) {
			if err := st.send(nil, false); err != nil {
				return err
			}
		}
		n, err := src.Read(buf)
		end := err == io.EOF || err == nil && n > 0 && done != nil && done.Done()
		if err != nil && err != io.EOF {
			if n > 0 {
				_ = st.send(buf[:n], false)
			}
			return &http1.ReadError{Err: err}
		}
		last := end && (trailer == nil || trailer.Len() == 0)
		if n > 0 || last {
			if err := st.send(buf[:n], last); err != nil {
				return err
			}
		}
		switch {
		case last:
			return nil
		case end:
			return st.sendTrailers(trailer)
		}
	}
}

// room waits until the connection may take a head. The lock is held.
func (st *Stream) room() error {
	c := st.c
	for {
		switch {
		case st.err != nil:
			return st.err
		case st.reset || st.sent:
			return ErrClosed
		case c.err != nil:
			return ErrClosed
		case over(st.wdead):
			return os.ErrDeadlineExceeded
		case len(c.out) < full:
			return nil
		}
		c.block(st)
	}
}

// send sends the head, if that was not done, and content; it waits for the windows.
func (st *Stream) send(b []byte, end bool) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.out.head {
		if err := st.room(); err != nil {
			if st.out.rq != nil && err == ErrClosed {
				err = ErrNotProcessed
			}
			return err
		}
		if err := st.sendHead(end && len(b) == 0); err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
	}
	if len(b) == 0 && !end {
		return nil
	}
	if st.err != nil {
		return st.err
	}
	if st.reset || st.sent {
		return ErrClosed
	}
	st.out.n += int64(len(b))
	st.want, st.wantEnd, st.waiting = b, end, true
	c.offer(st)
	c.schedule()
	for st.waiting {
		if over(st.wdead) {
			st.waiting, st.want = false, nil
			return os.ErrDeadlineExceeded
		}
		st.wcond.Wait()
	}
	return st.err
}

// sendHead encodes the head. A client's stream gets its number here, in the order of
// the wire. The lock is held.
func (st *Stream) sendHead(end bool) error {
	c := st.c
	st.out.head = false
	if st.out.rq != nil {
		if c.goneAway || c.ending {
			return ErrNotProcessed
		}
		st.id = c.nextID()
		st.open = true
		st.window = c.peerWindow
		c.streams[st.id] = st
		c.opened++
	}
	at := c.openBlock(st.id)
	if rq := st.out.rq; rq != nil {
		c.requestFields(rq)
	} else {
		c.responseFields(st.out.rs, st.out.none)
	}
	c.closeBlock(at, st.id, end)
	st.sent = end
	return nil
}

// nextID gives the number of a client's next stream.
func (c *Conn) nextID() uint32 {
	if c.last == 0 {
		c.last = 1
	} else {
		c.last += 2
	}
	return c.last
}

func (st *Stream) sendTrailers(trailer *exchange.Header) error {
	if !sendable(trailer) {
		return http1.ErrUnsent
	}
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.room(); err != nil {
		return err
	}
	at := c.openBlock(st.id)
	c.fields(trailer)
	c.closeBlock(at, st.id, true)
	st.sent = true
	return nil
}

// sendable tells whether the fields may be sent.
func sendable(h *exchange.Header) bool {
	for _, f := range h.Fields() {
		if !http1.ValidName(f.Name) || !http1.ValidValue(f.Value) {
			return false
		}
	}
	return true
}
