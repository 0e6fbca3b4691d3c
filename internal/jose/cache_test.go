package jose

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	key, other := mustKey(t, "a", "", secret("a")), mustKey(t, "b", "", secret("b"))
	set, same, without := NewKeySet(key), NewKeySet(key, other), NewKeySet(other)
	now := time.Unix(1000, 0)
	// Longer than the end that the hash is made of.
	token := "header." + strings.Repeat("payload", 30) + ".signature"
	fresh := func() *Cache[int] {
		c := NewCache[int](1000, 1<<20, 4096)
		c.Put(token, 7, 0, key, now.Add(time.Second))
		return c
	}
	for _, x := range []struct {
		name  string
		token string
		keys  *KeySet
		at    time.Time
		want  bool
	}{
		{"again", token, set, now, true},
		{"other token, same end", "H" + token[1:], set, now, false},
		{"other end", token[:len(token)-1] + "E", set, now, false},
		{"shorter", token[1:], set, now, false},
		{"longer", token + "x", set, now, false},
		{"at its end", token, set, now.Add(time.Second), true},
		{"after its end", token, set, now.Add(2 * time.Second), false},
		{"key still there in a new set", token, same, now, true},
		{"key removed", token, without, now, false},
		{"no keys", token, nil, now, false},
	} {
		c := fresh()
		if _, got := c.Get(x.token, x.keys, x.at); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
	c := fresh()
	if _, ok := c.Get(token, without, now); ok || c.Len() != 0 || c.Bytes() != 0 {
		t.Error("an entry whose key is gone stays")
	}
	if _, ok := c.Get(token, set, now); ok {
		t.Error("an entry came back with its key")
	}
}

func TestCacheBounds(t *testing.T) {
	key := mustKey(t, "a", "", secret("a"))
	set := NewKeySet(key)
	now := time.Unix(1000, 0)
	const maxBytes = 64 << 10
	c := NewCache[int](1<<20, maxBytes, 1000)
	for i := range 10_000 {
		c.Put(fmt.Sprintf("%0500d", i), i, 100, key, time.Time{})
		if n := c.Bytes(); n > maxBytes {
			t.Fatalf("%d bytes", n)
		}
	}
	if c.Len() == 0 {
		t.Error("nothing was kept")
	}
	c = NewCache[int](64, 1<<20, 1000)
	for i := range 1000 {
		c.Put(fmt.Sprintf("%0500d", i), i, 0, key, time.Time{})
	}
	if c.Len() > 64 {
		t.Errorf("%d entries", c.Len())
	}
	c.Put(strings.Repeat("x", 1001), 1, 0, key, time.Time{})
	if _, ok := c.Get(strings.Repeat("x", 1001), set, now); ok {
		t.Error("a token above the bound was kept")
	}
}

// A token in use outlives a stream of others that are seen once.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	key := mustKey(t, "a", "", secret("a"))
	set := NewKeySet(key)
	c := NewCache[int](256, 1<<20, 1000)
	c.Put("used", 1, 0, key, time.Time{})
	for i := range 5000 {
		if _, ok := c.Get("used", set, time.Unix(1000, 0)); !ok {
			t.Fatalf("gone after %d others", i)
		}
		c.Put(fmt.Sprint("other", i), i, 0, key, time.Time{})
	}
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	key := mustKey(t, "a", "", secret("a"))
	set, now := NewKeySet(key), time.Unix(1000, 0)
	c := NewCache[int](1000, 1<<20, 4096)
	token := readFile(t, "valid.jwt")
	c.Put(token, 7, 0, key, now.Add(time.Hour))
	again := strings.Clone(token)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := c.Get(again, set, now); !ok {
			t.Error("missed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCacheConcurrently(t *testing.T) {
	key := mustKey(t, "a", "", secret("a"))
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
				c.Put(token, (i*7+g)%100, 10, key, time.Unix(int64(i+50), 0))
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
		for at, e := range s.ring {
			n += e.cost
			if e.at != at || s.entries[e.hash] != e {
				t.Error("an entry is not where it thinks it is")
			}
		}
	}
	if n != c.Bytes() {
		t.Errorf("%d bytes are counted, %d are there", c.Bytes(), n)
	}
}

// Different tokens without end hold no more memory than the bound says, with all
// that was decoded from them.
func TestCacheHoldsItsBoundInMemory(t *testing.T) {
	s := testSigners()
	key := mustKey(t, "", "", s.hmac)
	const maxBytes = 8 << 20
	c := NewCache[*Token](1<<20, maxBytes, 4096)
	before := heap()
	for i := range 20_000 { // two seconds of 10,000
		tok, err := Parse(s.token(t, "HS256", `{"alg":"HS256","kid":"k","typ":"JWT"}`, fmt.Sprintf(
			`{"iss":"https://issuer.example","sub":"user %d","aud":["a","b"],"exp":4685989700,"iat":1532389700,"jti":"%d",
			"roles":["reader","writer"],"realm":{"access":{"of":"all kinds"}},"name":"Jane Doe","email":"jane@example.com"}`, i, i)), 0)
		if err != nil {
			t.Fatal(err)
		}
		c.Put(tok.Raw(), tok, tok.Size(), key, time.Time{})
		if n := c.Bytes(); n > maxBytes {
			t.Fatalf("%d bytes are counted", n)
		}
	}
	held := heap() - before
	t.Logf("%d entries, counted as %d bytes, hold %d of %d", c.Len(), c.Bytes(), held, maxBytes)
	if held > maxBytes {
		t.Errorf("%d bytes are held, more than %d", held, maxBytes)
	}
	if c.Len() < 1000 {
		t.Errorf("%d entries are too few to mean something", c.Len())
	}
	runtime.KeepAlive(c)
}

// heap is what is alive, in bytes.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
