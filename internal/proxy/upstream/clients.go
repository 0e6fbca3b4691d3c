package upstream

import (
	"container/list"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// pool has connections that are alike, so that any of them serves a request.
type pool struct {
	key   poolKey  // among those of clients
	of    *clients // nil: it is for no client, and lasts as long as the host
	holds int      // who asks for a connection, and open connections; guarded by the lock of clients

	mu       sync.Mutex
	idle     []*Conn // the one used last stands last
	multi    []*shared
	dialing  *dialing // of a shared connection; nil: none is under way
	single   bool     // the host chose HTTP/1.1 by ALPN: connections are not shared
	draining bool
	sweep    *time.Timer
	open     int          // connections for requests, those on their way included
	waiting  []chan *Conn // who is given a connection, or nil to try again
	waits    atomic.Int32 // how many
}

// poolKey tells a client's pools from others'.
type poolKey struct {
	header string // what connections have begun with
	apart  bool   // see Host.apart
	// priority is that of requests. It parts a host's own pools, too.
	priority Priority
}

// drain closes idle connections now, and others once their request is done.
func (p *pool) drain() {
	p.mu.Lock()
	p.draining = true
	p.mu.Unlock()
	p.closeIdle()
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	idle, multi := p.idle, p.multi
	p.idle, p.multi = nil, nil
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	for _, s := range multi {
		s.c.Shutdown()
	}
}

// giveWay closes connections that nobody uses now, at once. False: there are none.
func (p *pool) giveWay() bool {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	var unused []*shared
	p.multi = slices.DeleteFunc(p.multi, func(s *shared) bool {
		if s.c.Active() > 0 {
			return false
		}
		unused = append(unused, s)
		return true
	})
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	for _, s := range unused {
		s.c.Shutdown()
		s.nc.Close()
	}
	return len(idle)+len(unused) > 0
}

func (p *pool) keep() {
	if p.of != nil {
		p.of.keep(p)
	}
}

func (p *pool) letGo() {
	if p.of != nil {
		p.of.letGo(p)
	}
}

// room is how many idle connections it keeps.
func (p *pool) room() int {
	if p.of != nil {
		return maxIdleOfClient
	}
	return maxIdle
}

const (
	// maxClients bounds the clients that a host has a pool for. The pool used longest ago
	// goes: its connections carry no further request.
	maxClients      = 1024
	maxIdleOfClient = 8
)

// clients are a host's pools where connections tell for whom they are. The header is the
// whole key: whoever a connection was made for, it is used only for requests of which it
// would have told the same.
type clients struct {
	*proxied
	tlvs string // of the host, encoded

	mu       sync.Mutex
	pools    map[poolKey]*list.Element
	recent   list.List // of *pool; the one used last stands first
	draining bool
}

// clientsOf is nil without the PROXY protocol.
func clientsOf(p *proxied, tlvs string) *clients {
	if p == nil {
		return nil
	}
	return &clients{proxied: p, tlvs: tlvs, pools: map[poolKey]*list.Element{}}
}

// hold gives the pool for requests of a version of HTTP of a client, nil for the proxy
// itself, until it is let go.
func (h *Host) hold(from From) (*pool, error) {
	apart := h.cluster.speaks == asClient && from.Major == 2
	if h.clients == nil || from.Client == nil {
		switch {
		case from.Priority == High:
			return h.holdHigh(apart), nil
		case apart:
			return &h.apart, nil
		}
		return &h.pool, nil
	}
	p, err := h.clients.hold(from.Client, apart, from.Priority)
	if errors.Is(err, errLongHeader) {
		h.clients.long.Add(1)
	}
	return p, err
}

// holdHigh is hold for priority High, in a cluster whose connections do not tell for whom
// they are.
func (h *Host) holdHigh(apart bool) *pool {
	pools := h.high.Load()
	if pools == nil {
		pools = new([2]pool)
		for i := range pools {
			pools[i].key.priority = High
		}
		if !h.high.CompareAndSwap(nil, pools) {
			pools = h.high.Load()
		}
		if h.drained.Load() { // meanwhile, or before: who has drained has not seen them
			for i := range pools {
				pools[i].drain()
			}
		}
	}
	if apart {
		return &pools[1]
	}
	return &pools[0]
}

// ownPools gives the pools that are no client's.
func (h *Host) ownPools() []*pool {
	all := []*pool{&h.pool, &h.apart}
	if high := h.high.Load(); high != nil {
		all = append(all, &high[0], &high[1])
	}
	return all
}

// tell begins a connection with its header.
func (c *clients) tell(ctx context.Context, nc *net.TCPConn, p *pool) error {
	header := []byte(p.key.header)
	if p.of == nil {
		header = c.own(nc)
	}
	end, _ := ctx.Deadline()
	nc.SetWriteDeadline(end)
	if _, err := nc.Write(header); err != nil {
		nc.Close()
		return err
	}
	nc.SetWriteDeadline(time.Time{})
	return nil
}

// hold gives the pool for a client, which is there until it is let go.
func (c *clients) hold(client *exchange.Conn, apart bool, of Priority) (*pool, error) {
	var space [256]byte
	header, err := c.append(space[:0], client, c.tlvs)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if e := c.pools[poolKey{string(header), apart, of}]; e != nil {
		defer c.mu.Unlock()
		c.recent.MoveToFront(e)
		p := e.Value.(*pool)
		p.holds++
		return p, nil
	}
	var old *pool
	if len(c.pools) >= maxClients {
		oldest := c.recent.Back()
		c.forget(oldest)
		old = oldest.Value.(*pool)
	}
	p := &pool{key: poolKey{string(header), apart, of}, of: c, holds: 1, draining: c.draining}
	c.pools[p.key] = c.recent.PushFront(p)
	c.mu.Unlock()
	if old != nil {
		old.drain() // without the lock, which connections take that are closed
	}
	return p, nil
}

// keep holds a pool for a connection.
func (c *clients) keep(p *pool) {
	c.mu.Lock()
	p.holds++
	c.mu.Unlock()
}

// letGo ends a pool that nobody holds any more.
func (c *clients) letGo(p *pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.holds--; p.holds > 0 {
		return
	}
	if e := c.pools[p.key]; e != nil && e.Value == p {
		c.forget(e)
	}
}

// forget takes a pool out. The lock is held.
func (c *clients) forget(e *list.Element) {
	delete(c.pools, e.Value.(*pool).key)
	c.recent.Remove(e)
}

// all gives the pools, the one used longest ago first.
func (c *clients) all() (out []*pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.recent.Back(); e != nil; e = e.Prev() {
		out = append(out, e.Value.(*pool))
	}
	return out
}

// giveWay closes idle connections of a priority, those of the client that was served longest
// ago of those that have some. False: none has.
func (c *clients) giveWay(of Priority) bool {
	for _, p := range c.all() {
		if p.key.priority == of && p.giveWay() {
			return true
		}
	}
	return false
}

func (c *clients) drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
	for _, p := range c.all() {
		p.drain()
	}
}
