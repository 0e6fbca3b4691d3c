package jose

import (
	"crypto/sha256"
	"hash/maphash"
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
//
// Entries are found by a hash of the end of the signature, under a secret seed: so
// nobody can make tokens that meet in one place, and a token that was not signed is
// compared with none, from which one could learn how it begins.
type Cache[V any] struct {
	seed     maphash.Seed
	shards   [cacheShards]cacheShard[V]
	maxToken int
}

type cacheShard[V any] struct {
	mu       sync.RWMutex
	entries  map[uint64]*cacheEntry[V] // by hash
	ring     []*cacheEntry[V]          // in the order of the clock's hand
	hand     int
	bytes    int
	maxBytes int
	maxCount int
	_        [64]byte // a cache line between the locks
}

type cacheEntry[V any] struct {
	hash    uint64
	at      int // place in the ring
	token   string
	value   V
	key     [sha256.Size]byte // the print of the key that verified it
	expires int64             // Unix seconds, 0: never
	cost    int
	used    atomic.Bool
}

// entryOverhead is what an entry takes besides token and value, in bytes.
const entryOverhead = 256

// NewCache makes a cache of at most maxEntries entries and maxBytes bytes; longer
// tokens than maxToken bytes are not kept.
func NewCache[V any](maxEntries, maxBytes, maxToken int) *Cache[V] {
	c := &Cache[V]{seed: maphash.MakeSeed(), maxToken: maxToken}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries = make(map[uint64]*cacheEntry[V])
		s.maxCount = max(1, (maxEntries+cacheShards-1)/cacheShards)
		s.maxBytes = maxBytes / cacheShards
	}
	return c
}

func (c *Cache[V]) find(token string) (*cacheShard[V], uint64) {
	const tail = 64 // more than anybody could make two signatures have in common
	h := maphash.String(c.seed, token[max(0, len(token)-tail):])
	return &c.shards[h%cacheShards], h
}

// Get gives what was put in for exactly this token, unless it has expired or the
// key that it was verified by is not in keys any more: then it is dropped. It
// does not allocate.
func (c *Cache[V]) Get(token string, keys *KeySet, now time.Time) (V, bool) {
	s, h := c.find(token)
	s.mu.RLock()
	e := s.entries[h]
	s.mu.RUnlock()
	var none V
	if e == nil || e.token != token {
		return none, false
	}
	if e.expires != 0 && now.Unix() > e.expires || keys == nil || !keys.prints[e.key] {
		s.mu.Lock()
		if s.entries[h] == e {
			s.remove(e)
		}
		s.mu.Unlock()
		return none, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.value, true
}

// Put remembers a token that key verified. It is not given after expires (zero: it
// does not expire). Size is about what value takes, in bytes.
func (c *Cache[V]) Put(token string, value V, size int, key *Key, expires time.Time) {
	if len(token) > c.maxToken {
		return
	}
	s, h := c.find(token)
	e := &cacheEntry[V]{hash: h, token: strings.Clone(token), value: value, key: key.print, cost: len(token) + size + entryOverhead}
	if !expires.IsZero() {
		e.expires = expires.Unix()
	}
	if e.cost > s.maxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.entries[h]; old != nil {
		s.remove(old)
	}
	for len(s.ring) > 0 && (s.bytes+e.cost > s.maxBytes || len(s.ring) >= s.maxCount) {
		s.evict()
	}
	e.at = len(s.ring)
	s.entries[h] = e
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
		if !e.used.CompareAndSwap(true, false) {
			s.remove(e)
			return
		}
		s.hand++
	}
}

// remove takes an entry out; the last of the ring takes its place.
func (s *cacheShard[V]) remove(e *cacheEntry[V]) {
	delete(s.entries, e.hash)
	s.bytes -= e.cost
	last := len(s.ring) - 1
	s.ring[e.at] = s.ring[last]
	s.ring[e.at].at = e.at
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
