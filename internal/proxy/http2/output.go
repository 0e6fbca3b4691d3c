package http2

import (
	"runtime"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/netconn"
)

// enough is how many bytes may wait for the socket before content does, and full
// before heads do: content of others never keeps a head back.
const (
	enough = 64 << 10
	full   = 96 << 10
)

// output is the Conn as what the HPACK encoder writes to.
type output Conn

func (o *output) Write(p []byte) (int, error) {
	o.out = append(o.out, p...)
	return len(p), nil
}

// frame appends a frame's header. The lock is held, as for all that sends.
func (c *Conn) frame(t xh2.FrameType, flags xh2.Flags, id uint32, length int) {
	if c.out == nil {
		c.out = buffer.Get(buffer.Small)[:0]
	}
	if cap(c.out)-len(c.out) < length+9 {
		c.out = grow(c.out, length+9)
	}
	c.out = append(c.out, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	c.frames++
	switch t {
	case xh2.FrameSettings, xh2.FramePing, xh2.FrameRSTStream:
		c.control++
	}
}

func (c *Conn) uint32(v uint32) { c.out = append(c.out, byte(v>>24), byte(v>>16), byte(v>>8), byte(v)) }

func (c *Conn) sendReset(id uint32, code xh2.ErrCode) {
	c.frame(xh2.FrameRSTStream, 0, id, 4)
	c.uint32(uint32(code))
	c.n.SentResets.Add(1)
	c.kick()
}

func (c *Conn) sendWindow(id uint32, n int32) {
	c.frame(xh2.FrameWindowUpdate, 0, id, 4)
	c.uint32(uint32(n))
	c.kick()
}

func (c *Conn) sendPing(ack bool, data [8]byte) {
	var flags xh2.Flags
	if ack {
		flags = xh2.FlagPingAck
	}
	c.frame(xh2.FramePing, flags, 0, 8)
	c.out = append(c.out, data[:]...)
	c.kick()
}

// sendGoAway tells the last stream of the peer's that is served; ours begins none.
func (c *Conn) sendGoAway(last uint32, code xh2.ErrCode) {
	if !c.server {
		last = 0
	}
	c.frame(xh2.FrameGoAway, 0, 0, 8)
	c.uint32(last)
	c.uint32(uint32(code))
	c.n.GoAwaySent.Add(1)
	c.kick()
}

// credit gives back the connection's window, in large steps.
func (c *Conn) credit(n int) {
	c.unacked += int32(n)
	if c.unacked >= c.o.ConnWindow/2 && c.err == nil {
		c.sendWindow(0, c.unacked)
		c.recvWindow += c.unacked
		c.unacked = 0
	}
}

// kick has the writer write.
func (c *Conn) kick() {
	if c.writerWaits {
		c.writerWaits = false
		c.kicked.Signal()
	}
}

// flooded tells whether more frames wait for the socket than the peer may cause.
func (c *Conn) flooded() error {
	switch {
	case c.control > c.o.MaxOutboundControl:
		return flood("too many control frames wait to be sent", func(n *Counters) { n.OutboundControlFlood.Add(1) })
	case c.frames > c.o.MaxOutbound:
		return flood("too many frames wait to be sent", func(n *Counters) { n.OutboundFlood.Add(1) })
	}
	return nil
}

// write writes what was put into out until the connection ends.
func (c *Conn) write() {
	defer close(c.written)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.out) == 0 {
			if c.ending {
				_ = netconn.CloseWrite(c.nc)
				return
			}
			c.release()
			c.writerWaits = true
			c.kicked.Wait()
		}
		c.mu.Unlock()
		runtime.Gosched() // others that are ready add to the same write
		c.mu.Lock()
		b, frames, control := c.out, c.frames, c.control
		c.out, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		_, err := c.nc.Write(b)
		c.mu.Lock()
		c.frames -= frames
		c.control -= control
		if err != nil {
			c.ending = true
			buffer.Put(b)
			c.mu.Unlock()
			c.die(ErrClosed)
			c.nc.Close()
			c.mu.Lock()
			return
		}
		c.spare = b[:0]
		c.unblock()
		c.schedule()
	}
}

// block has the stream wait until unblock, or one of its deadlines. The lock is held.
func (c *Conn) block(st *Stream) {
	if !st.blocked {
		st.blocked = true
		c.blocked = append(c.blocked, st)
	}
	st.wcond.Wait()
}

// unblock has all blocked streams look again. The lock is held.
func (c *Conn) unblock() {
	for i, st := range c.blocked {
		c.blocked[i] = nil
		st.blocked = false
		st.wcond.Signal()
	}
	c.blocked = c.blocked[:0]
}

// release gives the buffers of a connection that has nothing to say back.
func (c *Conn) release() {
	if cap(c.out) > 0 {
		buffer.Put(c.out)
	}
	if cap(c.spare) > 0 {
		buffer.Put(c.spare)
	}
	c.out, c.spare = nil, nil
}

// offer puts a stream that has content into the ring. The lock is held.
func (c *Conn) offer(st *Stream) {
	if st.waiting && !st.queued {
		st.queued = true
		c.ring = append(c.ring, st)
	}
}

// schedule sends a frame of each stream in turn, as far as the windows and the
// buffer go. The lock is held.
func (c *Conn) schedule() {
	for len(c.ring) > 0 && len(c.out) < enough {
		st := c.ring[0]
		if !st.waiting {
			c.pop(st)
			continue
		}
		n := min(len(st.want), c.peerFrame, int(max(st.window, 0)), int(max(c.window, 0)))
		if n == 0 && len(st.want) > 0 {
			if st.window > 0 {
				break // the connection's window is closed
			}
			c.pop(st) // WINDOW_UPDATE puts it back
			continue
		}
		c.sendData(st, n)
		c.pop(st)
		if st.waiting {
			c.offer(st)
		}
	}
	if len(c.out) > 0 {
		c.kick()
	}
}

func (c *Conn) pop(st *Stream) {
	st.queued = false
	n := copy(c.ring, c.ring[1:])
	c.ring[n] = nil
	c.ring = c.ring[:n]
}

// sendData sends n bytes of what a stream wants to send.
func (c *Conn) sendData(st *Stream, n int) {
	end := n == len(st.want)
	var flags xh2.Flags
	if end && st.wantEnd {
		flags = xh2.FlagDataEndStream
		st.sent = true
	}
	c.frame(xh2.FrameData, flags, st.id, n)
	c.out = append(c.out, st.want[:n]...)
	st.want = st.want[n:]
	st.window -= int32(n)
	c.window -= int32(n)
	c.dataFrames++
	if end {
		st.waiting, st.want = false, nil
		st.wcond.Signal()
	}
}
