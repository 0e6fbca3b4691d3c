package jwks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Cache keeps the key sets of its targets fresh.
type Cache struct {
	o       Options
	fetcher *fetcher
	disk    disk
	pace    pace
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.RWMutex
	entries map[string]*entry // by URI
	closed  bool
}

// New makes an empty cache. Fetches go on in the background until Close.
func New(o Options) *Cache {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	c := &Cache{o: o, entries: map[string]*entry{}, pace: issuerPace, disk: disk{dir: o.Dir, now: o.Now}}
	o.MaxAge = maxAgeWithin(o.MaxAge)
	if o.Mirror {
		c.pace = mirrorPace
	}
	c.pace = c.pace.within(o.MaxAge / 2)
	c.fetcher = newFetcher(o.Transport, o.Mirror, o.Now)
	c.fetcher.maxAge = o.MaxAge
	if !o.Mirror {
		c.disk.maxAge = o.MaxAge
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.disk.prune()
	return c
}

// Set replaces the targets. A new one is read from disk and fetched at once; one
// that is gone is forgotten. Of two with one URI the last counts.
func (c *Cache) Set(targets []Target) {
	want := make(map[string]Target, len(targets))
	for _, t := range targets {
		want[t.URI] = t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for uri, e := range c.entries {
		if t, ok := want[uri]; ok && t == e.t {
			continue
		}
		e.cancel()
		delete(c.entries, uri)
		e.erase()
	}
	for _, t := range want {
		c.add(t)
	}
}

// Add adds one target. If there is one of its URI, the shorter Refresh of the two
// counts, and the rest is the first one's.
func (c *Cache) Add(t Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[t.URI]; e != nil {
		e.hurry(t.Refresh)
		return
	}
	c.add(t)
}

// First gives a channel that is closed when the first fetch of the set has ended, well
// or not, its tries included.
func (c *Cache) First(uri string) <-chan struct{} {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.entries[uri]; e != nil {
		return e.first
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

// add is called with the lock held.
func (c *Cache) add(t Target) {
	if c.closed || c.entries[t.URI] != nil {
		return
	}
	e := newEntry(c, t)
	ctx, cancel := context.WithCancel(c.ctx)
	e.cancel = cancel
	c.entries[t.URI] = e
	c.wg.Go(func() {
		defer cancel()
		e.run(ctx)
	})
}

// forget drops an entry that nobody names any more.
func (c *Cache) forget(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.t.URI] != e {
		return
	}
	delete(c.entries, e.t.URI)
	e.erase()
}

// Get gives the current set. If it has no key that could match kid ("": any will
// do), or there is none yet, it is fetched again, for keys that are not there at most
// once per 5 s (1 s from a mirror), and Get waits at most MaxWait; a set without that key is
// no error. Errors: ErrUnknown, ErrNoKeys (with the reason), ErrBusy, ctx's.
func (c *Cache) Get(ctx context.Context, uri, kid string) (*Set, error) {
	c.mu.RLock()
	e := c.entries[uri]
	c.mu.RUnlock()
	if e == nil {
		return nil, ErrUnknown
	}
	if s := e.current(); s != nil && (s.could(kid) || len(kid) > MaxKID) {
		return s, nil
	}
	return e.wait(ctx, kid)
}

// wait is Get when there is nothing that will do.
func (e *entry) wait(ctx context.Context, kid string) (*Set, error) {
	limit := time.NewTimer(MaxWait)
	defer limit.Stop()
	for {
		f, err := e.ask(kid)
		if err != nil {
			return nil, err
		}
		if f == nil {
			return e.result()
		}
		select {
		case <-f.done:
			e.leave()
		case <-limit.C:
			e.leave()
			return e.result()
		case <-ctx.Done():
			e.leave()
			return nil, ctx.Err()
		}
		// A refresh that was under way when we came may have begun before the key was
		// there.
		if s := e.current(); f.asked || s != nil && s.could(kid) {
			return e.result()
		}
	}
}

// result is what there is now.
func (e *entry) result() (*Set, error) {
	if s := e.current(); s != nil {
		return s, nil
	}
	if last := e.snapshot().LastError; last != "" {
		return nil, fmt.Errorf("%w: %w", ErrNoKeys, errors.New(last))
	}
	return nil, ErrNoKeys
}

// Refetch has all sets fetched soon, for when what stood against it may be gone.
func (c *Cache) Refetch() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, e := range c.entries {
		select {
		case e.kick <- struct{}{}:
		default:
		}
	}
}

// States gives the state of every target, ordered by URI.
func (c *Cache) States() []State {
	c.mu.RLock()
	out := make([]State, 0, len(c.entries))
	for _, e := range c.entries {
		out = append(out, e.snapshot())
	}
	c.mu.RUnlock()
	slices.SortFunc(out, func(a, b State) int { return cmp.Compare(a.URI, b.URI) })
	return out
}

// Close ends the fetches and waits for them. What is on disk stays.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	c.fetcher.client.CloseIdleConnections()
}
