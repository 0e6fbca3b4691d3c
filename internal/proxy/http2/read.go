package http2

import (
	"errors"
	"time"

	xh2 "golang.org/x/net/http2"
)

// read takes frames until the connection ends, and says why.
func (c *Conn) read() error {
	for {
		fh, err := c.fr.ReadFrameHeader()
		if err == nil {
			var f xh2.Frame
			if f, err = c.fr.ReadFrameForHeader(fh); err == nil {
				err = c.take(fh, f)
			}
		}
		if err == nil {
			continue
		}
		var s xh2.StreamError
		var ce xh2.ConnectionError
		switch {
		case errors.As(err, &s) && fh.Type != xh2.FrameHeaders && fh.Type != xh2.FrameContinuation:
			if err = c.streamError(s.StreamID, s.Code); err != nil {
				return err
			}
		case errors.As(err, &s):
			return fatal(s.Code, "malformed frame")
		case errors.As(err, &ce):
			return fatal(xh2.ErrCode(ce), "malformed frame")
		case errors.Is(err, xh2.ErrFrameTooLarge):
			return fatal(xh2.ErrCodeFrameSize, "frame too large")
		default:
			return err
		}
	}
}

// take takes one frame.
func (c *Conn) take(fh xh2.FrameHeader, f xh2.Frame) error {
	if !c.settled {
		if s, ok := f.(*xh2.SettingsFrame); !ok || s.IsAck() {
			return fatal(xh2.ErrCodeProtocol, "the first frame is not SETTINGS")
		}
		c.settled = true
	}
	switch f := f.(type) {
	case *xh2.HeadersFrame:
		if err := c.checkEmpty(len(f.HeaderBlockFragment()), f.StreamEnded()); err != nil {
			return err
		}
		return c.beginBlock(f)
	case *xh2.ContinuationFrame:
		if err := c.checkEmpty(len(f.HeaderBlockFragment()), false); err != nil {
			return err
		}
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *xh2.DataFrame:
		if err := c.checkEmpty(len(f.Data()), f.StreamEnded()); err != nil {
			return err
		}
		return c.data(f)
	case *xh2.PushPromiseFrame:
		return fatal(xh2.ErrCodeProtocol, "PUSH_PROMISE")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := f.(type) {
	case *xh2.SettingsFrame:
		return c.settings(f)
	case *xh2.PingFrame:
		return c.ping(f)
	case *xh2.RSTStreamFrame:
		return c.rst(f)
	case *xh2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *xh2.GoAwayFrame:
		return c.goAway(f)
	case *xh2.PriorityFrame:
		if c.prio++; c.prio > c.o.MaxPriorities*(1+c.opened) {
			return flood("too many PRIORITY frames", func(n *Counters) { n.PriorityFramesFlood.Add(1) })
		}
		if f.StreamDep == f.StreamID {
			c.mu.Unlock()
			defer c.mu.Lock()
			return c.streamError(f.StreamID, xh2.ErrCodeProtocol)
		}
	}
	return nil
}

// checkEmpty bounds frames that cost and bring nothing.
func (c *Conn) checkEmpty(n int, end bool) error {
	if n > 0 || end {
		c.empty = 0
		return nil
	}
	if c.empty++; c.empty > c.o.MaxEmpty {
		return flood("too many empty frames", func(n *Counters) { n.EmptyFramesFlood.Add(1) })
	}
	return nil
}

// settings takes the peer's settings. Of a window's several values the last counts.
func (c *Conn) settings(f *xh2.SettingsFrame) error {
	if f.IsAck() {
		c.dec.SetAllowedMaxDynamicTableSize(c.o.TableSize)
		return nil
	}
	if !c.greeted {
		c.greeted, c.peerStreams = true, 1<<31-1
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
		}
		return nil
	})
	if err != nil {
		return err
	}
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
		c.schedule()
	}
	c.frame(xh2.FrameSettings, xh2.FlagSettingsAck, 0, 0)
	c.kick()
	return c.flooded()
}

func (c *Conn) ping(f *xh2.PingFrame) error {
	if f.IsAck() {
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
	case c.curEnd && c.cur.length > 0 && !st.bodiless(c.cur.status):
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
		if st.interim++; st.interim > maxInterim {
			c.cur.bad("too many interim answers")
			return c.invalid(st)
		}
		return nil
	}
	st.head, c.cur = c.cur, st.head
	st.length = st.head.length
	if st.bodiless(st.head.status) {
		st.length = 0
	}
	st.ready, st.ended = true, c.curEnd
	st.rcond.Broadcast()
	return nil
}

// maxInterim bounds the 1xx answers before the final one.
const maxInterim = 16

// invalid ends what brought a malformed head: the stream alone or the connection.
func (c *Conn) invalid(st *Stream) error {
	c.n.MessagingErrors.Add(1)
	if c.server && !c.o.StreamErrors {
		return fatal(xh2.ErrCodeProtocol, "malformed head: "+c.cur.malformed)
	}
	if st != nil {
		st.abort(xh2.ErrCodeProtocol, ErrMalformed)
		c.notify(st)
	} else {
		c.sendReset(c.curID, xh2.ErrCodeProtocol)
		c.abandon(c.curID)
	}
	return c.flooded()
}

// bodiless tells whether an answer of that status has no content, whatever its
// Content-Length says.
func (st *Stream) bodiless(status int) bool {
	return st.out.method == "HEAD" || status == 204 || status == 304
}
