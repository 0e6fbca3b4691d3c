package http2

import "time"

// watch arms the connection's timer for the next of its bounds: idle, an unfinished
// head, drain, keepalive. The lock is held.
func (c *Conn) watch() {
	if c.err != nil {
		return
	}
	next := time.Time{}
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if c.o.Idle > 0 && len(c.streams) == 0 {
		earlier(c.idleSince.Add(c.o.Idle))
	}
	if len(c.free) > 0 && len(c.streams) == 0 {
		earlier(c.idleSince.Add(trimAfter))
	}
	if c.o.HeadTime > 0 && !c.headSince.IsZero() {
		earlier(c.headSince.Add(c.o.HeadTime))
	}
	if !c.drainBy.IsZero() && !c.leaving {
		earlier(c.drainBy)
	}
	switch {
	case !c.pingSent.IsZero():
		earlier(c.pingSent.Add(c.o.PingTimeout))
	case c.o.PingInterval > 0:
		earlier(c.heard.Add(c.o.PingInterval))
	}
	if next.IsZero() || !c.timerAt.IsZero() && !next.Before(c.timerAt) {
		return
	}
	c.timerAt = next
	d := max(time.Until(next), time.Millisecond)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.fired)
	} else {
		c.timer.Reset(d)
	}
}

// trimAfter is how long an idle connection keeps the memory of its streams.
const trimAfter = 5 * time.Second

// trim gives the memory of streams back. The lock is held.
func (c *Conn) trim() {
	for _, st := range c.free {
		if st.timer != nil {
			st.timer.Stop()
		}
	}
	c.free = nil
}

// fired looks which bounds have passed.
func (c *Conn) fired() {
	c.mu.Lock()
	c.timerAt = time.Time{}
	now := time.Now()
	var err error
	if len(c.streams) == 0 && now.Sub(c.idleSince) >= trimAfter {
		c.trim()
	}
	if !c.drainBy.IsZero() && !now.Before(c.drainBy) {
		c.leave()
	}
	switch {
	case c.err != nil:
	case c.o.HeadTime > 0 && !c.headSince.IsZero() && now.Sub(c.headSince) >= c.o.HeadTime:
		err = ErrClosed
	case c.o.Idle > 0 && len(c.streams) == 0 && c.active == 0 && now.Sub(c.idleSince) >= c.o.Idle:
		c.leave()
	case !c.pingSent.IsZero():
		if now.Sub(c.pingSent) >= c.o.PingTimeout {
			c.n.KeepaliveTimeout.Add(1)
			err = ErrClosed
		}
	case c.o.PingInterval > 0 && now.Sub(c.heard) >= c.o.PingInterval:
		c.pingSent = now
		c.sendPing(false, [8]byte{'u', 's', 'h', 'e', 'r'})
	}
	c.watch()
	c.mu.Unlock()
	if err != nil {
		c.die(err)
		c.nc.Close()
	}
}
