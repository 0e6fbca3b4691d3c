package jose

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const cacheShards = 16

// Cache remembers tokens that were verified, with what the caller made of each.
// A hit compares the whole token. It is bounded in bytes and in entries; when it
// is full, entries that were not used since they were last looked at go first.
// Only good tokens are put in, so a flood of bad ones evicts none. It is safe for
// concurrent use.
type Cache[V any] struct {
	shards   [cacheShards]cacheShard[V]
	maxToken int
}

type cacheShard[V any] struct {
	mu       sync.RWMutex
	entries  map[string]*cacheEntry[V]
	ring     []*cacheEntry[V] // in the order of the clock's hand
	hand     int
	bytes    int
	maxBytes int
	maxCount int
	_        [64]byte // a cache line between the locks
}

type cacheEntry[V any] struct {
	token   string
	value   V
	key     *Key
	set     atomic.Pointer[KeySet] // last set that was seen to contain key
	expires int64                  // Unix seconds, 0: never
	cost    int
	used    atomic.Bool
}

// NewCache makes a cache of at most maxEntries entries and maxBytes bytes; longer
// tokens than maxToken bytes are not kept.
func NewCache[V any](maxEntries, maxBytes, maxToken int) *Cache[V] {
	c := &Cache[V]{maxToken: maxToken}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries = make(map[string]*cacheEntry[V])
		s.maxCount = max(1, (maxEntries+cacheShards-1)/cacheShards)
		s.maxBytes = maxBytes / cacheShards
	}
	return c
}

// shard picks by the end of the signature, which is as good as random.
func (c *Cache[V]) shard(token string) *cacheShard[V] {
	var h uint32 = 2166136261
	for i := max(0, len(token)-12); i < len(token); i++ {
		h = (h ^ uint32(token[i])) * 16777619
	}
	return &c.shards[h>>28]
}

// Get gives what was put in for exactly this token, unless it has expired or the
// key that it was verified by is not in keys any more: then it is dropped. It
// does not allocate.
func (c *Cache[V]) Get(token string, keys *KeySet, now time.Time) (V, bool) {
	s := c.shard(token)
	s.mu.RLock()
	e := s.entries[token]
	s.mu.RUnlock()
	var none V
	if e == nil {
		return none, false
	}
	if e.expires != 0 && now.Unix() > e.expires || !e.vouched(keys) {
		s.mu.Lock()
		s.remove(e)
		s.mu.Unlock()
		return none, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.value, true
}

// vouched tells whether the set in force still has the entry's key.
func (e *cacheEntry[V]) vouched(keys *KeySet) bool {
	if e.set.Load() == keys {
		return true
	}
	if keys == nil || !keys.Contains(e.key) {
		return false
	}
	e.set.Store(keys)
	return true
}

// Put remembers a token that keys verified by key. It is forgotten at expires
// (zero: never) at the latest. Size is about what value takes, in bytes.
func (c *Cache[V]) Put(token string, value V, size int, keys *KeySet, key *Key, expires time.Time) {
	if len(token) > c.maxToken {
		return
	}
	const overhead = 256
	e := &cacheEntry[V]{token: strings.Clone(token), value: value, key: key, cost: len(token) + size + overhead}
	if !expires.IsZero() {
		e.expires = expires.Unix()
	}
	e.set.Store(keys)
	s := c.shard(token)
	if e.cost > s.maxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.entries[token]; old != nil {
		s.remove(old)
	}
	for len(s.ring) > 0 && (s.bytes+e.cost > s.maxBytes || len(s.ring) >= s.maxCount) {
		s.evict()
	}
	s.entries[e.token] = e
	s.ring = append(s.ring, e)
	s.bytes += e.cost
}

// evict removes the next entry that was not used since the hand last passed it
// (the clock algorithm).
func (s *cacheShard[V]) evict() {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		if e.used.CompareAndSwap(true, false) {
			s.hand++
			continue
		}
		s.removeAt(s.hand)
		return
	}
}

func (s *cacheShard[V]) remove(e *cacheEntry[V]) {
	for i := range s.ring {
		if s.ring[i] == e {
			s.removeAt(i)
			return
		}
	}
}

func (s *cacheShard[V]) removeAt(i int) {
	e, last := s.ring[i], len(s.ring)-1
	delete(s.entries, e.token)
	s.bytes -= e.cost
	s.ring[i] = s.ring[last]
	s.ring[last] = nil
	s.ring = s.ring[:last]
}

// Len counts the entries.
func (c *Cache[V]) Len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.ring)
		s.mu.RUnlock()
	}
	return n
}

// Bytes is what the entries take, as they were counted.
func (c *Cache[V]) Bytes() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += s.bytes
		s.mu.RUnlock()
	}
	return n
}
