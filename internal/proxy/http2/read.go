package http2

import (
	"errors"

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
		if c.grown {
			c.grown = false
			c.room() // without the lock
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
