package listener

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/deadline"
)

// Listener is a running listener.
type Listener struct {
	ln   net.Listener // nil: it is unbound
	spec atomic.Pointer[Spec]
	ctx  context.Context // ends with Close
	end  context.CancelFunc

	draining atomic.Bool   // connections are to end
	once     sync.Once     // of what follows
	stopping chan struct{} // closed when no more are to be accepted
	accepted chan struct{} // closed when none are
	settle   time.Duration // written before stopping is closed: see Stop
	until    time.Time

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool // none is served any more; of one that is unbound: no further one is
	// serving counts the goroutines, left is told when there is none. They are no WaitGroup,
	// which must not grow while somebody waits: others hand connections at any time.
	serving int
	left    sync.Cond
}

// On begins to accept on a socket that is bound to the spec's address; nil for one that is
// unbound.
func On(s *Spec, ln net.Listener) *Listener {
	l := &Listener{ln: ln, conns: make(map[*conn]struct{}), stopping: make(chan struct{}), accepted: make(chan struct{})}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.left.L = &l.mu
	l.spec.Store(s)
	if ln == nil {
		close(l.accepted)
	} else {
		go l.accept()
	}
	return l
}

// Addr is where the listener is bound, or would be.
func (l *Listener) Addr() netip.AddrPort {
	if l.ln == nil {
		return l.spec.Load().Address
	}
	return l.ln.Addr().(*net.TCPAddr).AddrPort()
}

// Spec gives the spec in force.
func (l *Listener) Spec() *Spec { return l.spec.Load() }

// Connections counts the open connections.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Swap puts another spec of the same socket in force, for new connections and
// for the next request of open ones. Connections that it would not let in end: idle
// and lasting ones now, others after the response in flight.
func (l *Listener) Swap(s *Spec) error {
	if old := l.spec.Load(); !old.SameSocket(s) {
		return fmt.Errorf("listener %s: bound to %s %s, not %s %s", s.Name, old.Network, old.Address, s.Network, s.Address)
	}
	old := l.spec.Swap(s)
	l.wake()
	if old != s {
		old.retire()
	}
	return nil
}

// use gives the spec in force, counted as used until it is released.
func (l *Listener) use() *Spec {
	for {
		s := l.spec.Load()
		s.users.Add(1)
		if l.spec.Load() == s {
			return s
		}
		s.release()
	}
}

// Rejudge has open connections judged again: for when keys, roots or routes have
// changed and the spec has not. It does not wait.
func (l *Listener) Rejudge() { l.wake() }

// wake makes idle and lasting connections look at what is in force.
func (l *Listener) wake() {
	l.mu.Lock()
	all := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		c.wake()
	}
}

// Bounds of the wait after a failure to accept (too many open files).
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

func (l *Listener) accept() {
	defer close(l.accepted)
	defer l.ln.Close()
	pause := minPause
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			if l.stopped(err) {
				if l.unseen(err) {
					continue
				}
				return
			}
			l.spec.Load().log.Warn("cannot accept", "listener", l.spec.Load().Name, "error", err)
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-l.stopping:
				t.Stop()
				return
			}
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		if again := l.spec.Load().overload.Stopped(); again != nil {
			select {
			case <-again:
			case <-l.stopping: // what was accepted is served
			}
		}
		l.begin(nc)
		select {
		case <-l.stopping:
			l.settles()
		default:
		}
	}
}

// begin serves a connection, or hands it on: at once if that can be, so that whoever has
// stopped accepting has handed on all.
func (l *Listener) begin(nc net.Conn) {
	c := &conn{l: l, raw: deadline.New(nc)}
	if s := l.spec.Load(); s.handsOff && s.told == nil && !s.deny {
		c.addresses()
		c.restore(s)
		if to := c.heir(s); to != nil {
			to.inherit(c, nil)
			return
		}
	}
	l.admit(c)
}

// admit serves a connection in a goroutine of its own, unless there are too many.
func (l *Listener) admit(c *conn) {
	s := l.spec.Load()
	l.mu.Lock()
	full := len(l.conns) >= s.max
	if l.closed || s.deny || full || !s.overload.Enter() {
		switch {
		case l.closed || s.deny:
		case full:
			s.stats.CxOverflow.Inc()
		default:
			s.stats.GateOverflow.Inc()
		}
		l.mu.Unlock()
		c.raw.Close()
		return
	}
	l.conns[c] = struct{}{}
	l.serving++
	l.mu.Unlock()
	go func() {
		defer l.leave()
		defer func() {
			l.mu.Lock()
			delete(l.conns, c)
			l.mu.Unlock()
			if !c.passed {
				c.raw.Close()
			}
			s.overload.Leave()
		}()
		defer contain(s)
		c.serve()
	}()
}

// leave ends a goroutine.
func (l *Listener) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving--; l.serving == 0 {
		l.left.Broadcast()
	}
}

// empty returns when nothing is served.
func (l *Listener) empty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.serving > 0 {
		l.left.Wait()
	}
}

// contain ends one connection, and not the process, when serving it finds a fault in
// us.
func contain(s *Spec) {
	if p := recover(); p != nil {
		s.log.Error("serving a connection failed", "listener", s.Name, "panic", p, "stack", string(debug.Stack()))
	}
}
