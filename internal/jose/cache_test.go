package jose

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	key, other := mustKey(t, "a", "", []byte("a")), mustKey(t, "b", "", []byte("b"))
	set, same, without := NewKeySet(key), NewKeySet(key, other), NewKeySet(other)
	now := time.Unix(1000, 0)
	fresh := func() *Cache[int] {
		c := NewCache[int](1000, 1<<20, 4096)
		c.Put("header.payload.signature", 7, 0, set, key, now.Add(time.Second))
		return c
	}
	for _, x := range []struct {
		name  string
		token string
		keys  *KeySet
		at    time.Time
		want  bool
	}{
		{"again", "header.payload.signature", set, now, true},
		{"other token, same end", "Header.payload.signature", set, now, false},
		{"longer", "header.payload.signaturE", set, now, false},
		{"at its end", "header.payload.signature", set, now.Add(time.Second), true},
		{"after its end", "header.payload.signature", set, now.Add(2 * time.Second), false},
		{"key still there in a new set", "header.payload.signature", same, now, true},
		{"key removed", "header.payload.signature", without, now, false},
		{"no keys", "header.payload.signature", nil, now, false},
	} {
		c := fresh()
		if _, got := c.Get(x.token, x.keys, x.at); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
	c := fresh()
	if _, ok := c.Get("header.payload.signature", without, now); ok || c.Len() != 0 || c.Bytes() != 0 {
		t.Error("an entry whose key is gone stays")
	}
	if _, ok := c.Get("header.payload.signature", set, now); ok {
		t.Error("an entry came back with its key")
	}
}

func TestCacheBounds(t *testing.T) {
	key := mustKey(t, "a", "", []byte("a"))
	set := NewKeySet(key)
	now := time.Unix(1000, 0)
	const maxBytes = 64 << 10
	c := NewCache[int](1<<20, maxBytes, 1000)
	for i := range 10_000 {
		c.Put(fmt.Sprintf("%0500d", i), i, 100, set, key, time.Time{})
		if n := c.Bytes(); n > maxBytes {
			t.Fatalf("%d bytes", n)
		}
	}
	if c.Len() == 0 {
		t.Error("nothing was kept")
	}
	c = NewCache[int](64, 1<<20, 1000)
	for i := range 1000 {
		c.Put(fmt.Sprintf("%0500d", i), i, 0, set, key, time.Time{})
	}
	if c.Len() > 64 {
		t.Errorf("%d entries", c.Len())
	}
	c.Put(strings.Repeat("x", 1001), 1, 0, set, key, time.Time{})
	if _, ok := c.Get(strings.Repeat("x", 1001), set, now); ok {
		t.Error("a token above the bound was kept")
	}
}

// A token in use outlives a stream of others that are seen once.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	key := mustKey(t, "a", "", []byte("a"))
	set := NewKeySet(key)
	c := NewCache[int](256, 1<<20, 1000)
	c.Put("used", 1, 0, set, key, time.Time{})
	for i := range 5000 {
		if _, ok := c.Get("used", set, time.Unix(1000, 0)); !ok {
			t.Fatalf("gone after %d others", i)
		}
		c.Put(fmt.Sprint("other", i), i, 0, set, key, time.Time{})
	}
}

func TestCacheConcurrently(t *testing.T) {
	key := mustKey(t, "a", "", []byte("a"))
	sets := []*KeySet{NewKeySet(key), NewKeySet(key), NewKeySet()}
	c := NewCache[int](64, 1<<16, 1000)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				token := fmt.Sprint("token", (i*7+g)%100)
				if v, ok := c.Get(token, sets[i%3], time.Unix(int64(i), 0)); ok && v != (i*7+g)%100 {
					t.Errorf("%s has %d", token, v)
				}
				c.Put(token, (i*7+g)%100, 10, sets[i%2], key, time.Unix(int64(i+50), 0))
			}
		})
	}
	wg.Wait()
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		if len(s.ring) != len(s.entries) {
			t.Error("ring and map differ")
		}
		for _, e := range s.ring {
			n += e.cost
		}
	}
	if n != c.Bytes() {
		t.Errorf("%d bytes are counted, %d are there", c.Bytes(), n)
	}
}
