package upstream

import "time"

// merger holds changes of health back, so that a storm of them makes the choice of
// endpoints anew but once: as in Envoy, the first is in force at once, and others wait for
// update_merge_window. It is guarded by the cluster's lock.
type merger struct {
	window time.Duration
	last   time.Time
	timer  *time.Timer
	waits  bool
}

// defaultMergeWindow is Envoy's.
const defaultMergeWindow = time.Second

// rearrange has the choice of endpoints made anew, since the health of some has changed.
// The lock is held.
func (c *Cluster) rearrange() {
	m := &c.merge
	now := c.opts.Now()
	switch {
	case m.window == 0 || now.Sub(m.last) > m.window:
		m.stop()
		m.last = now
		c.arrangeAgain()
	case m.waits:
	case m.timer == nil:
		m.waits = true
		m.timer = time.AfterFunc(m.window, c.merged)
	default:
		m.waits = true
		m.timer.Reset(m.window)
	}
}

// merged ends a window.
func (c *Cluster) merged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.merge.waits {
		c.merge.waits = false
		c.merge.last = c.opts.Now()
		c.arrangeAgain()
	}
}

func (c *Cluster) arrangeAgain() {
	if s := c.hosts.Load(); s != nil && !c.closed {
		c.publish(s.assignment, s.all)
	}
}

// stop forgets what waits.
func (m *merger) stop() {
	if m.waits {
		m.waits = false
		m.timer.Stop()
	}
}
