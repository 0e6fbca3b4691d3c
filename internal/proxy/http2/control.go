package http2

import (
	"time"

	xh2 "golang.org/x/net/http2"
)

// settings takes the peer's settings. Of a window's several values the last counts.
func (c *Conn) settings(f *xh2.SettingsFrame) error {
	if f.IsAck() {
		c.dec.SetAllowedMaxDynamicTableSize(c.o.TableSize)
		return nil
	}
	before := c.mostStreams()
	if !c.greeted {
		c.greeted, c.peerStreams = true, 1<<31-1
		defer c.unblock()
	}
	window := c.peerWindow
	err := f.ForeachSetting(func(s xh2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case xh2.SettingHeaderTableSize:
			c.enc.SetMaxDynamicTableSize(min(s.Val, c.o.TableSize))
		case xh2.SettingInitialWindowSize:
			window = int32(s.Val)
		case xh2.SettingMaxFrameSize:
			c.peerFrame = min(int(s.Val), 16<<10)
		case xh2.SettingMaxConcurrentStreams:
			c.peerStreams = s.Val
		case xh2.SettingEnableConnectProtocol:
			c.peerConnect = s.Val == 1
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.grown = !c.server && c.mostStreams() > before
	if delta := int64(window) - int64(c.peerWindow); delta != 0 {
		c.peerWindow = window
		for _, st := range c.streams {
			w := int64(st.window) + delta
			if w > 1<<31-1 {
				return fatal(xh2.ErrCodeFlowControl, "a window is too large")
			}
			st.window = int32(w)
			c.offer(st)
		}
	}
	c.frame(xh2.FrameSettings, xh2.FlagSettingsAck, 0, 0) // at once (RFC 9113, 6.5.3): in front of content that goes by the new window
	c.schedule()
	c.kick()
	return c.flooded()
}

func (c *Conn) ping(f *xh2.PingFrame) error {
	if f.IsAck() {
		if f.Data == drainPing && !c.drainBy.IsZero() {
			c.leave()
			return nil
		}
		c.pingSent = time.Time{}
		c.heard = time.Now()
		c.watch()
		return nil
	}
	c.sendPing(true, f.Data)
	return c.flooded()
}

// idle tells whether no stream of that number has been begun. After GOAWAY nobody
// counts what the peer begins in vain.
func (c *Conn) idle(id uint32) bool { return id%2 == 0 || id > c.last && !c.leaving }

func (c *Conn) rst(f *xh2.RSTStreamFrame) error {
	if c.idle(f.StreamID) {
		return fatal(xh2.ErrCodeProtocol, "RST_STREAM on an idle stream")
	}
	c.n.ReceivedResets.Add(1)
	if c.server && !c.resets.take(time.Now()) {
		return flood("too many RST_STREAM frames", func(n *Counters) { n.ResetFlood.Add(1) })
	}
	st := c.streams[f.StreamID]
	if st == nil {
		return nil
	}
	st.reset, st.quit = true, true
	var err error = &ResetError{f.ErrCode}
	if f.ErrCode == xh2.ErrCodeRefusedStream && !c.server {
		err = ErrNotProcessed
	}
	if !c.server && f.ErrCode == xh2.ErrCodeNo && st.ended { // the answer is whole, the rest of the request is not wanted
		st.waiting, st.want = false, nil
	}
	st.fail(err)
	c.notify(st)
	return nil
}

// notify calls what OnReset was given. The lock is held.
func (c *Conn) notify(st *Stream) {
	if f := st.onReset; f != nil {
		st.onReset = nil
		f()
	}
}

func (c *Conn) windowUpdate(f *xh2.WindowUpdateFrame) error {
	if c.windows++; c.windows > 5+2*(c.opened+c.o.MaxWindowUpdates*c.dataFrames) {
		return flood("too many WINDOW_UPDATE frames", func(n *Counters) { n.WindowUpdateFramesFlood.Add(1) })
	}
	if f.StreamID == 0 {
		w := int64(c.window) + int64(f.Increment)
		if w > 1<<31-1 {
			return fatal(xh2.ErrCodeFlowControl, "the connection's window is too large")
		}
		c.window = int32(w)
		c.schedule()
		return nil
	}
	if c.idle(f.StreamID) {
		return fatal(xh2.ErrCodeProtocol, "WINDOW_UPDATE on an idle stream")
	}
	st := c.streams[f.StreamID]
	if st == nil || st.reset {
		return nil
	}
	w := int64(st.window) + int64(f.Increment)
	if w > 1<<31-1 {
		st.abort(xh2.ErrCodeFlowControl, ErrMalformed)
		c.notify(st)
		return c.flooded()
	}
	st.window = int32(w)
	c.offer(st)
	c.schedule()
	return nil
}

func (c *Conn) goAway(f *xh2.GoAwayFrame) error {
	if c.server {
		return nil // no stream of ours that it could be about
	}
	c.goneAway = true
	for id, st := range c.streams {
		if id > f.LastStreamID {
			st.reset = true
			st.fail(ErrNotProcessed)
		}
	}
	c.endIfDone()
	return nil
}

// streamError resets a stream by which something came that must not.
func (c *Conn) streamError(id uint32, code xh2.ErrCode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle(id) {
		return fatal(code, "frame on an idle stream")
	}
	if st := c.streams[id]; st != nil {
		st.abort(code, ErrMalformed)
		c.notify(st)
		return c.flooded()
	}
	if !c.wasAbandoned(id) {
		c.sendReset(id, code)
	}
	return c.flooded()
}
