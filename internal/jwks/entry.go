package jwks

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// entry keeps one target's set. One goroutine, run, fetches; Get reads.
type entry struct {
	t      Target
	c      *Cache
	cancel context.CancelFunc
	kick   chan struct{} // of capacity 1: fetch now

	set atomic.Pointer[Set]

	mu       sync.Mutex
	state    State
	flight   chan struct{} // closed when the fetch that is due or under way has ended; nil if there is none
	kid      string        // what that fetch is for
	lastTry  time.Time
	waiters  int
	last     *fetched
	written  time.Time // Fetched of what is on disk
	failures int       // in a row
}

func newEntry(c *Cache, t Target) *entry {
	e := &entry{t: t, c: c, kick: make(chan struct{}, 1), flight: make(chan struct{})}
	e.state.URI = t.URI
	f, err := c.disk.read(t)
	switch {
	case err != nil:
		c.o.Log.Warn("stored keys are not used", "uri", clean(t.URI), "error", clean(err.Error()))
	case f != nil:
		e.last, e.written = f, f.set.Fetched
		e.state.FromDisk, e.state.Fetched, e.state.Warnings = true, f.set.Fetched, f.set.warnings
		e.set.Store(f.set)
	}
	return e
}

// current is the set, if it is not too old.
func (e *entry) current() *Set {
	s := e.set.Load()
	if s == nil || e.c.o.Now().Sub(s.Fetched) > MaxAge {
		return nil
	}
	return s
}

// run fetches at once, then when the set is due or somebody lacks a key.
func (e *entry) run(ctx context.Context) {
	for {
		wait := e.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-e.kick:
			t.Stop()
		case <-t.C:
		}
	}
}

// fetch tries once and tells how long to wait for the next try.
func (e *entry) fetch(ctx context.Context) time.Duration {
	e.mu.Lock()
	if e.flight == nil {
		e.flight = make(chan struct{})
	}
	e.lastTry = e.c.o.Now()
	kid, last := e.kid, e.last
	e.kid = ""
	// A kick that asked for this very fetch is answered by it.
	select {
	case <-e.kick:
	default:
	}
	e.mu.Unlock()

	f, err := e.c.fetcher.fetch(ctx, e.t, kid, last)

	if err == nil {
		e.set.Store(f.set)
	}
	wait := e.done(ctx, f, err)
	if ctx.Err() == nil && e.c.o.OnChange != nil {
		e.c.o.OnChange(e.t.URI)
	}
	return wait
}

// done records the outcome and lets those who wait go on.
func (e *entry) done(ctx context.Context, f *fetched, err error) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.flight)
	e.flight = nil
	if ctx.Err() != nil {
		return 0
	}
	random := e.c.o.Rand()
	e.state.Fetches++
	if err != nil {
		e.failures++
		e.state.Failures++
		text := clean(err.Error())
		if text != e.state.LastError {
			e.c.o.Log.Warn("keys cannot be fetched", "uri", clean(e.t.URI), "error", text, "inForce", e.current() != nil)
		}
		e.state.LastError = text
		return retry(e.failures, random)
	}
	changed := e.last == nil || e.last.set.ETag != f.set.ETag
	if changed || e.state.LastError != "" {
		e.c.o.Log.Info("keys fetched", "uri", clean(e.t.URI), "keys", f.set.Keys.Len(), "warnings", len(f.set.warnings))
	}
	e.failures, e.last = 0, f
	e.state.LastError, e.state.FromDisk, e.state.Fetched, e.state.Warnings = "", false, f.set.Fetched, f.set.warnings
	if changed || f.set.Fetched.Sub(e.written) > rewrite {
		if err := e.c.disk.write(e.t, f); err != nil {
			e.c.o.Log.Warn("keys cannot be kept for a restart", "uri", clean(e.t.URI), "error", err)
		} else {
			e.written = f.set.Fetched
		}
	}
	return e.c.pace.fresh(f.header, random)
}

// ask gives a channel that is closed when a fetch ends that may bring the kid. It
// is nil if none is allowed yet. Whoever gets one calls leave.
func (e *entry) ask(kid string) (<-chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight == nil {
		if e.c.o.Now().Sub(e.lastTry) < e.c.pace.throttle {
			return nil, nil
		}
		e.flight = make(chan struct{})
		e.kid = kid
		select {
		case e.kick <- struct{}{}:
		default:
		}
	}
	if e.waiters >= MaxWaiters {
		return nil, ErrBusy
	}
	e.waiters++
	return e.flight, nil
}

func (e *entry) leave() {
	e.mu.Lock()
	e.waiters--
	e.mu.Unlock()
}

func (e *entry) snapshot() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.state
	if cur := e.current(); cur != nil {
		s.Keys = cur.Keys.Len()
	}
	return s
}
