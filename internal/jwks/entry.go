package jwks

import (
	"context"
	"maps"
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
	first  chan struct{} // closed when the first fetch has ended

	set atomic.Pointer[Set]

	mu       sync.Mutex
	state    State
	flight   *flight // the fetch that is due or under way, or nil
	asks     asks
	waiters  int
	last     *fetched  // since the start; nil: none
	written  time.Time // Fetched of what is on disk
	failures int       // in a row
	unnamed  bool      // the mirror's last answer: no object names the set
	born     time.Time
	refresh  time.Duration // the target's, or a shorter one that somebody asked for since
	erased   bool          // nobody names the target any more
}

// flight is one fetch, with the tries of its retry policy, that requests may wait for.
type flight struct {
	done  chan struct{} // closed at its end
	asked bool          // for a key that a request lacks
	kid   string        // that key's; "" for any
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

func newEntry(c *Cache, t Target) *entry {
	e := &entry{t: t, c: c, kick: make(chan struct{}, 1), flight: newFlight(), born: c.o.Now(), refresh: t.Refresh}
	e.first = e.flight.done
	e.state.URI, e.state.Failures = t.URI, map[Reason]uint64{}
	s, err := c.disk.read(t)
	switch {
	case err != nil:
		c.o.Log.Warn("stored keys are not used", "uri", Shown(t.URI), "error", clean(err.Error()))
	case s != nil:
		e.written = s.Fetched
		e.state.FromDisk, e.state.Fetched, e.state.Warnings = true, s.Fetched, s.warnings
		e.set.Store(s)
	}
	return e
}

// current is the set, if it is not too old.
func (e *entry) current() *Set {
	s := e.set.Load()
	if s == nil || e.c.o.Now().Sub(s.Fetched) > s.MaxAge {
		return nil
	}
	return s
}

// run fetches at once, then when the set is due or somebody lacks a key.
func (e *entry) run(ctx context.Context) {
	defer e.end()
	for {
		wait := e.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if e.forgotten() {
			e.c.forget(e)
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
		e.flight = newFlight()
	}
	kid, last := e.flight.kid, e.last
	// A kick that asked for this very fetch is answered by it.
	select {
	case <-e.kick:
	default:
	}
	e.mu.Unlock()

	begin := time.Now()
	f, err := e.c.fetcher.fetch(ctx, e.t, kid, last)
	took := time.Since(begin)

	if err == nil {
		e.set.Store(f.set)
	}
	wait := e.done(ctx, f, err)
	if ctx.Err() != nil {
		return 0
	}
	if e.c.o.OnKeys != nil && err == nil && (last == nil || last.set.ETag != f.set.ETag) {
		e.c.o.OnKeys()
	}
	if e.c.o.OnFetch != nil {
		var r Reason
		if err != nil {
			r = reasonOf(err)
		}
		e.c.o.OnFetch(took, r)
	}
	if e.c.o.OnChange != nil {
		e.c.o.OnChange(e.t.URI)
	}
	return wait
}

// done records the outcome and lets those who wait go on.
func (e *entry) done(ctx context.Context, f *fetched, err error) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil || e.erased {
		e.land()
		return 0
	}
	random := e.c.o.Rand()
	e.state.Fetches++
	if err != nil {
		e.fail(err)
		wait, again := e.t.after(e.failures, random)
		if !again {
			e.land()
		}
		return wait
	}
	if e.flight.asked && f.set.could(e.flight.kid) {
		e.asks.missed = false
	}
	e.land()
	e.succeed(f)
	return e.c.pace.fresh(f.header, e.refresh, random)
}

// hurry has the set fetched more often, if need be, from the next fetch on.
func (e *entry) hurry(refresh time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if refresh > 0 && (e.refresh == 0 || refresh < e.refresh) {
		e.refresh = refresh
	}
}

// end lets those go on who wait for a try that will not be made.
func (e *entry) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight != nil {
		e.land()
	}
}

// land lets those go on who wait for the fetch.
func (e *entry) land() {
	close(e.flight.done)
	e.flight = nil
}

func (e *entry) fail(err error) {
	why := reasonOf(err)
	e.failures++
	e.state.Failures[why]++
	e.unnamed = why == ReasonUnnamed
	text := clean(err.Error())
	if text != e.state.LastError {
		e.c.o.Log.Warn("keys cannot be fetched", "uri", Shown(e.t.URI), "error", text, "inForce", e.current() != nil)
	}
	e.state.LastError = text
}

func (e *entry) succeed(f *fetched) {
	changed := e.last == nil || e.last.set.ETag != f.set.ETag
	if changed || e.state.LastError != "" {
		e.c.o.Log.Info("keys fetched", "uri", Shown(e.t.URI), "keys", f.set.Keys.Len(), "warnings", len(f.set.warnings))
	}
	e.failures, e.unnamed, e.last = 0, false, f
	e.state.LastError, e.state.FromDisk, e.state.Fetched, e.state.Warnings = "", false, f.set.Fetched, f.set.warnings
	if !changed && f.set.Fetched.Sub(e.written) <= rewrite {
		return
	}
	if err := e.c.disk.write(e.t, f.set); err != nil {
		e.c.o.Log.Warn("keys cannot be kept for a restart", "uri", Shown(e.t.URI), "error", err)
		return
	}
	e.written = f.set.Fetched
}

// erase removes what is on disk, and sees to it that a fetch which is under way
// writes nothing any more.
func (e *entry) erase() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.erased = true
	if err := e.c.disk.remove(e.t); err != nil {
		e.c.o.Log.Warn("stored keys cannot be removed", "error", err)
	}
}

// forgotten: the mirror has not known the set for so long that no key of it can be
// in force any more.
func (e *entry) forgotten() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	since, limit := e.born, MaxAge
	if s := e.set.Load(); s != nil {
		limit = s.MaxAge
	}
	if e.state.Fetched.After(since) {
		since = e.state.Fetched
	}
	return e.unnamed && e.c.o.Now().Sub(since) > limit
}

// ask gives the fetch that may bring the kid: the one that is due or under way, or
// a new one, as the throttle allows. It is nil if none is allowed yet, or needed.
// Whoever gets one calls leave.
func (e *entry) ask(kid string) (*flight, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight == nil {
		// It may have come since the caller looked.
		if s := e.current(); s != nil && s.could(kid) {
			return nil, nil
		}
		if !e.asks.take(e.c.o.Now(), e.c.pace.throttle) {
			return nil, nil
		}
		e.flight = newFlight()
		e.flight.asked, e.flight.kid = true, kid
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
	s.Failures = maps.Clone(s.Failures)
	if cur := e.current(); cur != nil {
		s.Keys = cur.Keys.Len()
		for _, k := range cur.Keys.Keys() {
			s.KIDs = append(s.KIDs, clean(k.ID()))
		}
	}
	return s
}
