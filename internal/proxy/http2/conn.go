package http2

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	xh2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Handler serves the requests of a server's connection.
type Handler interface {
	// Begin is asked, one at a time, before each request; false: none is served any
	// more, and the connection ends with those in flight.
	Begin(*Stream) bool
	// Serve serves one request, in a goroutine of its own. What is not sent when it
	// returns is reset.
	Serve(*Stream)
	// Woken is asked first, and when a read deadline of the socket has passed, which
	// others set.
	Woken() Going
}

// Conn is one connection.
type Conn struct {
	nc     net.Conn
	o      Options
	n      *Counters
	server bool
	h      Handler

	// Of the reading goroutine:
	first    []byte // read before
	fr       *xh2.Framer
	dec      *hpack.Decoder
	cur      head // of the block that is being decoded
	curID    uint32
	curEnd   bool
	curBytes int // encoded
	parts    int // frames of the block
	empty    int
	resets   bucket
	prio     int
	windows  int
	settled  bool // the peer's first SETTINGS came
	grown    bool // client: they came to allow more streams, and room was not called yet
	room     func()

	mu          sync.Mutex
	err         error // why it ended
	ending      bool  // nothing more is sent but what waits
	leaving     bool  // GOAWAY was sent
	goneAway    bool  // client: GOAWAY was received
	greeted     bool  // the peer's SETTINGS came
	streams     map[uint32]*Stream
	free        []*Stream
	last        uint32 // server: highest stream of the peer; client: own
	active      int    // client: streams reserved or open
	reserved    int    // client: over its life
	opened      int    // over its life
	served      sync.WaitGroup
	recvWindow  int32 // what the peer may still send
	unacked     int32
	window      int32 // what we may still send
	peerWindow  int32 // of new streams
	peerFrame   int
	peerStreams uint32
	peerConnect bool        // it takes requests for other protocols
	abandoned   [128]uint32 // streams that ended here while the peer may have sent on
	nextAbandon int
	out         []byte
	spare       []byte
	frames      int // in out and on their way
	control     int // of these
	writerWaits bool
	dataFrames  int // sent
	kicked      sync.Cond
	written     chan struct{}
	enc         *hpack.Encoder
	kept        map[keptField]keptField // of what it was given last
	ring        []*Stream
	blocked     []*Stream
	timer       *time.Timer
	timerAt     time.Time
	idleSince   time.Time
	headSince   time.Time
	drainBy     time.Time // when the last GOAWAY is sent at the latest; zero: it does not drain
	pingSent    time.Time // zero: none under way
	heard       time.Time // when a frame came last
}

// What a peer counts with before it has seen our SETTINGS.
const (
	defaultWindow = 65535
	initialTable  = 4096
)

func newConn(nc net.Conn, first []byte, o Options, n *Counters) *Conn {
	if n == nil {
		n = new(Counters)
	}
	c := &Conn{nc: nc, first: first, o: o, n: n, streams: make(map[uint32]*Stream), recvWindow: o.ConnWindow, window: defaultWindow,
		peerWindow: defaultWindow, peerFrame: 16 << 10, peerStreams: 100, written: make(chan struct{})}
	c.kicked.L = &c.mu
	c.resets = bucket{left: o.ResetBurst, burst: o.ResetBurst, rate: o.ResetRate}
	c.enc = hpack.NewEncoder((*output)(c))
	c.enc.SetMaxDynamicTableSizeLimit(o.TableSize)
	c.dec = hpack.NewDecoder(max(o.TableSize, initialTable), func(f hpack.HeaderField) { c.cur.add(f, &c.o) })
	c.dec.SetMaxStringLength(o.HeadBytes)
	c.fr = xh2.NewFramer(nil, &source{c: c})
	c.fr.SetReuseFrames()
	c.fr.SetMaxReadFrameSize(16 << 10)
	c.idleSince = time.Now()
	c.heard = c.idleSince
	return c
}

// begin sends our SETTINGS and opens the connection's window. The lock is held.
func (c *Conn) begin() {
	s := []xh2.Setting{{ID: xh2.SettingMaxHeaderListSize, Val: uint32(c.o.HeadBytes)}, {ID: xh2.SettingInitialWindowSize, Val: uint32(c.o.StreamWindow)}}
	if c.o.TableSize != initialTable {
		s = append(s, xh2.Setting{ID: xh2.SettingHeaderTableSize, Val: c.o.TableSize})
	}
	if c.server {
		s = append(s, xh2.Setting{ID: xh2.SettingMaxConcurrentStreams, Val: c.o.MaxStreams})
		if c.o.Connect {
			s = append(s, xh2.Setting{ID: xh2.SettingEnableConnectProtocol, Val: 1})
		}
	} else {
		s = append(s, xh2.Setting{ID: xh2.SettingEnablePush, Val: 0})
	}
	c.frame(xh2.FrameSettings, 0, 0, 6*len(s))
	for _, x := range s {
		c.out = append(c.out, byte(x.ID>>8), byte(x.ID), byte(x.Val>>24), byte(x.Val>>16), byte(x.Val>>8), byte(x.Val))
	}
	if d := c.o.ConnWindow - defaultWindow; d > 0 {
		c.sendWindow(0, d)
	}
	c.kick()
}

// die ends the connection: streams fail, and what waits is written before the
// socket is closed, if the peer takes it.
func (c *Conn) die(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	var e *connError
	if errors.As(err, &e) {
		if e.count != nil {
			e.count(c.n)
		}
		c.sendGoAway(c.last, e.code)
	}
	for _, st := range c.streams {
		st.reset = true
		st.fail(ErrClosed)
		c.notify(st)
	}
	c.unblock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.trim()
	c.finish()
}

// finish has what waits written and the socket closed. The lock is held.
func (c *Conn) finish() {
	c.ending = true
	c.nc.SetWriteDeadline(time.Now().Add(lastWrite))
	c.nc.SetReadDeadline(time.Now().Add(lastWrite))
	c.kicked.Signal()
}

// lastWrite bounds how long a connection that ends waits for its peer.
const lastWrite = time.Second

// Shutdown lets streams in flight end undisturbed; others are not begun. A server says
// so by GOAWAY now, a client in the end: there are servers that begin nothing after it.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave()
}

// Shutdown is the connection's.
func (st *Stream) Shutdown() { st.c.Shutdown() }

func (c *Conn) leave() {
	if c.leaving || c.err != nil {
		return
	}
	c.leaving = true
	if c.server {
		c.sendGoAway(c.last, xh2.ErrCodeNo)
	}
	c.endIfDone()
}

// endIfDone ends a connection that takes no streams and has none. The lock is held.
func (c *Conn) endIfDone() {
	if (c.leaving || c.goneAway) && len(c.streams) == 0 && c.active == 0 && !c.ending {
		if !c.server {
			c.sendGoAway(c.last, xh2.ErrCodeNo)
		}
		c.finish()
	}
}

// Streams counts the streams that were begun over the connection's life.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

// abandon remembers a stream that ended here while the peer may still send on it.
// The lock is held.
func (c *Conn) abandon(id uint32) {
	c.abandoned[c.nextAbandon%len(c.abandoned)] = id
	c.nextAbandon++
}

func (c *Conn) wasAbandoned(id uint32) bool {
	for _, x := range c.abandoned {
		if x == id {
			return true
		}
	}
	return false
}

// remove ends a stream for the connection. The lock is held.
func (c *Conn) remove(st *Stream) {
	if st.open {
		st.open = false
		delete(c.streams, st.id)
		if !st.ended && !st.quit {
			c.abandon(st.id)
		}
		if n := len(st.buf) - st.start; n > 0 {
			st.credit(n)
		}
	}
	if st.queued {
		c.ring = slices.DeleteFunc(c.ring, func(x *Stream) bool { return x == st })
	}
	if st.blocked {
		c.blocked = slices.DeleteFunc(c.blocked, func(x *Stream) bool { return x == st })
	}
	if len(c.streams) == 0 {
		c.idleSince = time.Now()
		c.watch()
	}
	c.endIfDone()
}

// bucket is a token bucket of the peer's resets.
type bucket struct {
	left, burst, rate float64
	at                time.Time
}

func (b *bucket) take(now time.Time) bool {
	if !b.at.IsZero() {
		b.left = min(b.burst, b.left+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	b.left--
	return b.left >= 0
}
