package http2

import (
	"net"
	"sync"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Stream is one request with its response. What stands under "guarded" belongs to
// the connection's lock; the rest to the goroutine that serves the stream.
type Stream struct {
	c *Conn
	// User is the server handler's, kept with the stream's memory from one request to
	// the next of the connection.
	User any
	// Expect: the client waits for 100 (Continue).
	Expect bool

	body    Body
	trailer *exchange.Header // where the received trailers go
	out     message

	// guarded:
	id           uint32
	err          error // why it ended early
	ended        bool  // END_STREAM was received
	sent         bool  // END_STREAM was sent
	reset        bool  // RST_STREAM was sent or received: no more frames
	quit         bool  // it was received: the peer sends no more either
	ready        bool  // a final head was received
	head         head  // received
	trailers     head
	hasTrailers  bool
	interim      int                 // answers of 1xx that were received
	early        []exchange.Response // those of them that nobody has read, less 100
	earlySize    int
	length       int64 // of the content that must come; exchange.UnknownLength: any
	got          int64
	buf          []byte // received and not read: buf[start:]
	start        int
	recvWindow   int32 // what the peer may still send
	unacked      int32 // what was read of it and not credited
	window       int32 // what we may still send
	want         []byte
	wantEnd      bool
	waiting      bool // want is not sent yet
	queued       bool // it waits in the ring
	rcond, wcond sync.Cond
	rdead, wdead time.Time
	timer        *time.Timer
	timerAt      time.Time
	onReset      func()
	blocked      bool
	open         bool // it is in the map
}

var _ net.Conn = (*Stream)(nil)

// newStream gives a stream of the connection's store. The lock is held.
func (c *Conn) newStream() *Stream {
	var st *Stream
	if n := len(c.free); n > 0 {
		st = c.free[n-1]
		c.free[n-1] = nil
		c.free = c.free[:n-1]
	} else {
		st = &Stream{c: c}
		st.rcond.L, st.wcond.L = &c.mu, &c.mu
	}
	st.recvWindow, st.window = c.o.StreamWindow, c.peerWindow
	st.length = exchange.UnknownLength
	return st
}

// maxFree bounds the streams whose memory is kept for the next.
const maxFree = 64

// store takes back a stream that nobody uses any more. The lock is held.
func (c *Conn) store(st *Stream) {
	if cap(st.buf) > 0 {
		buffer.Put(st.buf)
	}
	h, t := st.head, st.trailers
	h.reset(requestHead)
	t.reset(trailerHead)
	*st = Stream{c: c, User: st.User, head: h, trailers: t, timer: st.timer, timerAt: st.timerAt}
	st.rcond.L, st.wcond.L = &c.mu, &c.mu
	if len(c.free) < maxFree && c.err == nil {
		c.free = append(c.free, st)
	} else if st.timer != nil {
		st.timer.Stop()
	}
}

// wake makes all who wait on the stream look again. The lock is held.
func (st *Stream) wake() {
	st.rcond.Broadcast()
	st.wcond.Broadcast()
}

// fail ends the stream early, for its users. The lock is held.
func (st *Stream) fail(err error) {
	if st.err == nil {
		st.err = err
	}
	st.waiting, st.want = false, nil
	st.wake()
}

// abort resets the stream, if it has begun and not ended. The lock is held.
func (st *Stream) abort(code xh2.ErrCode, err error) {
	if !st.reset && st.open && !(st.sent && st.ended) {
		st.reset = true
		st.c.sendReset(st.id, code)
	}
	st.fail(err)
}

// OnReset has f called if the peer resets the stream or the connection ends; at once
// if that has happened. It is called under the connection's lock and must not use the
// connection. Nil for none: f is not called any more when OnReset has returned.
func (st *Stream) OnReset(f func()) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.onReset = f
	if st.err != nil && f != nil {
		f()
	}
}

// LocalAddr and RemoteAddr are the connection's.
func (st *Stream) LocalAddr() net.Addr  { return st.c.nc.LocalAddr() }
func (st *Stream) RemoteAddr() net.Addr { return st.c.nc.RemoteAddr() }

// SetDeadline bounds reads and writes.
func (st *Stream) SetDeadline(t time.Time) error {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.rdead, st.wdead = t, t
	st.arm(t)
	return nil
}

// SetReadDeadline bounds the wait for a head and for content.
func (st *Stream) SetReadDeadline(t time.Time) error {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.rdead = t
	st.arm(t)
	return nil
}

// SetWriteDeadline bounds the wait for windows and the socket.
func (st *Stream) SetWriteDeadline(t time.Time) error {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.wdead = t
	st.arm(t)
	return nil
}

// arm makes the timer fire at t or before. It is not moved when a deadline is: it
// looks at the deadlines when it fires, so most requests leave it alone.
func (st *Stream) arm(t time.Time) {
	if t.IsZero() {
		return
	}
	if !st.timerAt.IsZero() && !t.Before(st.timerAt) {
		return
	}
	d := time.Until(t)
	if d <= 0 {
		st.wake()
		return
	}
	st.timerAt = t
	if st.timer == nil {
		c := st.c // the timer may fire while store writes the stream
		st.timer = time.AfterFunc(d, func() { c.streamFired(st) })
	} else {
		st.timer.Reset(d)
	}
}

func (c *Conn) streamFired(st *Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.timerAt = time.Time{}
	if c.err != nil {
		return
	}
	now := time.Now()
	for _, d := range [2]time.Time{st.rdead, st.wdead} {
		switch {
		case d.IsZero():
		case !now.Before(d):
			st.wake()
		default:
			st.arm(d)
		}
	}
}

// over tells whether a deadline has passed.
func over(d time.Time) bool { return !d.IsZero() && !time.Now().Before(d) }

// Read reads content.
func (st *Stream) Read(p []byte) (int, error) { return st.body.Read(p) }

// Write sends content.
func (st *Stream) Write(p []byte) (int, error) {
	if err := st.send(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Reset resets the stream by that code.
func (st *Stream) Reset(code xh2.ErrCode) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.abort(code, ErrClosed)
}

// Close ends the stream; one that has not ended both ways is reset.
func (st *Stream) Close() error {
	st.Reset(xh2.ErrCodeCancel)
	return nil
}
