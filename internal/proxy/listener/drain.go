package listener

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// Announce begins a drain that still takes connections: each ends with its next
// answer, which tells the client so, or once it has been silent.
func (l *Listener) Announce() {
	l.draining.Store(true)
	l.wake()
}

// Stop drains, and accepts no further connections but those that the kernel has taken
// already: these and, for as long as settle, those whose handshake is under way are
// served, none is reset. The socket is closed when it returns. If another process has
// it, too, what waits there is left to that one.
func (l *Listener) Stop(settle time.Duration) {
	l.once.Do(func() {
		if l.ln == nil {
			l.mu.Lock()
			l.closed = true
			l.mu.Unlock()
			close(l.stopping)
			return
		}
		if s, ok := l.ln.(interface{ Retire() (shared bool) }); ok && s.Retire() {
			close(l.stopping)
			l.ln.Close()
			return
		}
		if c, ok := l.ln.(syscall.Conn); ok {
			if err := refuseNew(c); err != nil && !errors.Is(err, net.ErrClosed) {
				l.spec.Load().log.Debug("new connections are taken until the socket is closed", "error", err)
			}
		}
		l.settle, l.until = max(settle, glance), time.Now().Add(settleMost)
		close(l.stopping)
		l.settles()
	})
	<-l.accepted
	l.Announce()
}

// settleMost bounds how long is waited for a quiet queue where the kernel cannot refuse:
// then any moment of quiet is enough, and after that again none is needed.
const settleMost = time.Second

// settles has accepting end when nobody came for a while.
func (l *Listener) settles() {
	wait, now := l.settle, time.Now()
	if now.After(l.until) {
		wait = glance
	}
	d, ok := l.ln.(interface{ SetDeadline(time.Time) error })
	if !ok || l.settle == 0 || now.After(l.until.Add(settleMost)) || d.SetDeadline(now.Add(wait)) != nil {
		l.ln.Close()
	}
}

// unseen tells whether somebody waits although the time to settle is over, which may have
// passed before the queue was looked at. Then there is time to accept them.
func (l *Listener) unseen(err error) bool {
	now := time.Now()
	if !errors.Is(err, os.ErrDeadlineExceeded) || now.After(l.until.Add(settleMost)) {
		return false
	}
	c, ok := l.ln.(interface {
		syscall.Conn
		SetDeadline(time.Time) error
	})
	return ok && queued(c) && c.SetDeadline(now.Add(settleMost)) == nil
}

// glance is the least time that accepting needs to see an empty queue.
const glance = time.Millisecond

// Wait returns when all connections have ended or ctx has; Close ends the rest.
func (l *Listener) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { l.empty(); close(done) }()
	select {
	case <-done:
		l.spec.Load().retire()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops accepting and closes every connection at once.
func (l *Listener) Close() {
	l.end()
	l.once.Do(func() {
		close(l.stopping)
		if l.ln != nil {
			l.ln.Close() // with what waits in it
		}
	})
	<-l.accepted
	l.Announce()
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.raw.Close()
	}
	l.mu.Unlock()
	l.empty()
	l.spec.Load().retire()
}

// stopped tells whether the failure to accept is the end that Stop or Close wants.
func (l *Listener) stopped(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return true
	}
	select {
	case <-l.stopping:
		return errors.Is(err, os.ErrDeadlineExceeded)
	default:
		return false
	}
}
