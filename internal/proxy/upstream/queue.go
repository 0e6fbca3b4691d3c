package upstream

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// ErrBusy is a host that may have no more connections, while there are some for requests
// like this one: Await waits for those. It is an ErrOverflow.
var ErrBusy = fmt.Errorf("%w: its connections are in use", ErrOverflow)

// Await is Get for who got ErrBusy: it waits until a connection is free, first come first
// served, or may be made. It ends with ctx, and with the deadline, in their errors.
func (h *Host) Await(ctx context.Context, deadline time.Time, from From) (conn *Conn, err error) {
	p, err := h.hold(from)
	if err != nil {
		return nil, err
	}
	defer p.letGo()
	if err := h.beginActive(from.Priority); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.endActive(from.Priority)
		}
	}()
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	if err := h.beginPending(from.Priority, false); err != nil {
		return nil, err
	}
	defer h.endPending(from.Priority)
	for first := true; ; first = false {
		w := p.queue(!first) // before it is looked whether one is free: that may change
		conn, err := h.attempt(ctx, p, from.Major)
		if err != ErrBusy {
			p.leave(w)
			switch {
			case err != nil:
				h.cancelled(ctx)
			case conn.stream != nil:
				p.wake() // a connection that was made has room for more
			}
			return conn, err
		}
		select {
		case conn := <-w:
			if conn != nil {
				conn.Reused = true
				return conn, nil
			}
		case <-ctx.Done():
			p.leave(w)
			h.cancelled(ctx)
			return nil, ctx.Err()
		}
	}
}

// attempt gives a connection without waiting for one that is in use.
func (h *Host) attempt(ctx context.Context, p *pool, major int) (*Conn, error) {
	speaks := h.cluster.speaks
	if speaks == byALPN || !speaks.shares(major) {
		if conn := h.takeIdle(p); conn != nil {
			return conn, nil
		}
	}
	if speaks.shares(major) {
		return h.openStream(ctx, p, true)
	}
	return h.connect(ctx, p)
}

// dialRequests opens a connection for requests within the bounds. As in Envoy the first one
// of a pool is opened beyond them: nothing would ever end the waiting for it. That does not
// hold for pools of clients, of which there are as many as clients like.
func (h *Host) dialRequests(ctx context.Context, p *pool, protocols ...string) (net.Conn, error) {
	p.mu.Lock()
	p.open++
	first := p.open == 1
	p.mu.Unlock()
	if !h.findRoom(p.key.priority) {
		if !first {
			p.unopened()
			return nil, ErrBusy
		}
		h.cluster.Counts.CxOverflow.Inc()
		if p.of != nil {
			p.unopened()
			return nil, ErrOverflow
		}
		h.breaker(p.key.priority).conns.Add(1)
		h.open.Add(1)
	}
	return h.dial(ctx, p, func() {
		h.disconnected(p.key.priority)
		p.closed()
	}, protocols...)
}

// findRoom is mayConnect that has a connection give way which is for another client: it is of
// no use to this one, and would stand in its way until it ends.
func (h *Host) findRoom(of Priority) bool {
	for !h.mayConnect(of) {
		if h.clients == nil || !h.giveWay(of) {
			return false
		}
	}
	return true
}

// giveWay closes idle connections for clients: the host's, else another one's if that makes
// room. False: there are none.
func (h *Host) giveWay(of Priority) bool {
	c := h.cluster
	if h.clients.giveWay(of) {
		return true
	}
	if h.open.Load() >= h.breaker(of).maxPerHost {
		return false
	}
	return slices.ContainsFunc(c.everyHost(), func(other *Host) bool {
		return other != h && other.clients != nil && other.clients.giveWay(of)
	})
}

// mayConnect counts a connection within the bounds; false if there are too many.
// disconnected ends it.
func (h *Host) mayConnect(of Priority) bool {
	b := h.breaker(of)
	all, here := b.conns.Add(1), h.open.Add(1)
	if all > b.maxConns || here > b.maxPerHost {
		h.disconnected(of)
		return false
	}
	return true
}

func (h *Host) disconnected(of Priority) {
	h.breaker(of).conns.Add(-1)
	h.open.Add(-1)
}

// queue adds who waits; in front, if it has waited before.
func (p *pool) queue(again bool) chan *Conn {
	w := make(chan *Conn, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if again {
		p.waiting = slices.Insert(p.waiting, 0, w)
	} else {
		p.waiting = append(p.waiting, w)
	}
	p.waits.Store(int32(len(p.waiting)))
	return w
}

// leave takes out who waits no more. What it was given meanwhile is for the next.
func (p *pool) leave(w chan *Conn) {
	p.mu.Lock()
	i := slices.Index(p.waiting, w)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.waits.Store(int32(len(p.waiting)))
	}
	p.mu.Unlock()
	if i >= 0 {
		return
	}
	switch conn := <-w; {
	case conn == nil:
		p.wake()
	case conn.stream != nil:
		conn.release()
	default:
		conn.giveBack()
	}
}

// next takes the first who waits out, nil if nobody does. The lock is held.
func (p *pool) next() chan *Conn {
	if len(p.waiting) == 0 {
		return nil
	}
	w := p.waiting[0]
	p.waiting = slices.Delete(p.waiting, 0, 1)
	p.waits.Store(int32(len(p.waiting)))
	return w
}

// wake has the first who waits try again, and tells whether more do.
func (p *pool) wake() (more bool) {
	if p.waits.Load() == 0 {
		return false
	}
	p.mu.Lock()
	w := p.next()
	more = len(p.waiting) > 0
	p.mu.Unlock()
	if w != nil {
		w <- nil
	}
	return more
}

// closed notes the end of a connection for requests.
func (p *pool) closed() {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
	p.wake()
}

// unopened notes that a connection may not be made. Who waits meanwhile for others, which
// have ended, has the next one.
func (p *pool) unopened() {
	p.mu.Lock()
	p.open--
	none := p.open == 0
	p.mu.Unlock()
	if none {
		p.wake()
	}
}
