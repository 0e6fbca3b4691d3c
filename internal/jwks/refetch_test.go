package jwks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestUnknownKeyIsFetchedThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, "")
		defer c.Close()
		if _, err := c.Get(t.Context(), uri, "a"); err != ErrUnknown {
			t.Fatalf("before Set: %v", err)
		}
		c.Set([]Target{{URI: uri}})
		mustGet(t, c, "a", true) // waits for the fetch that Set began
		if n := i.count(); n != 1 {
			t.Fatalf("%d fetches", n)
		}
		// A thousand requests with keys that are unknown make one fetch, and within five
		// seconds nobody can make us ask again.
		var wg sync.WaitGroup
		for k := range 1000 {
			wg.Go(func() { mustGet(t, c, fmt.Sprint("made up ", k), false) })
		}
		wg.Wait()
		for k := range 100 {
			mustGet(t, c, fmt.Sprint("made up later ", k), false)
		}
		if n := i.count(); n != 2 {
			t.Fatalf("%d fetches within 5 s", n)
		}
		i.set(200, keySet(t, "a", "b"))
		time.Sleep(5 * time.Second)
		for range 500 {
			wg.Go(func() { mustGet(t, c, "b", true) })
		}
		wg.Wait()
		if n := i.count(); n != 3 {
			t.Fatalf("%d fetches for a new key", n)
		}
		// A flood of unknown keys for a minute is a fetch each 5 s.
		for k := range 600 {
			mustGet(t, c, fmt.Sprint("x", k), false)
			time.Sleep(100 * time.Millisecond)
		}
		if n := i.count() - 3; n < 11 || n > 13 {
			t.Fatalf("%d fetches in a minute of unknown keys", n)
		}
	})
}

// Keys that rotate in short order are each found by the first who comes, until one is
// asked for that is not there. An issuer that changes with each question is not asked
// without end.
func TestKeysInShortOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, "")
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		mustGet(t, c, "a", true)
		for _, k := range []string{"b", "c", "d"} {
			i.set(200, keySet(t, k))
			mustGet(t, c, k, true)
		}
		mustGet(t, c, "made up", false)
		i.set(200, keySet(t, "e"))
		mustGet(t, c, "e", false)
		if n := i.count(); n != 5 {
			t.Fatalf("%d fetches for five keys", n)
		}
		time.Sleep(5 * time.Second)
		mustGet(t, c, "e", true)
		for k := range 2 * maxAsks {
			i.set(200, keySet(t, fmt.Sprint("k", k)))
			mustGet(t, c, fmt.Sprint("k", k), k < maxAsks-1)
		}
		if n := i.count(); n != 5+maxAsks {
			t.Fatalf("%d fetches, want %d", n, 5+maxAsks)
		}
	})
}

// A refresh that comes just before a new key, or is under way when it comes, does
// not have the key's first token refused.
func TestNewKeyAroundARefresh(t *testing.T) {
	for name, at := range map[string]time.Duration{
		"just after it": 5*time.Minute + 200*time.Millisecond,
		"while it runs": 5*time.Minute + 50*time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := &issuer{status: 200, body: keySet(t, "a")}
				c := newCache(i, "")
				defer c.Close()
				c.Set([]Target{{URI: uri}})
				mustGet(t, c, "a", true)
				i.mu.Lock()
				i.delay, i.early = 100*time.Millisecond, true
				i.mu.Unlock()
				time.Sleep(at)
				i.set(200, keySet(t, "a", "b"))
				mustGet(t, c, "b", true)
				if n := i.count(); n != 3 {
					t.Fatalf("%d fetches: the first, the refresh, and one for the key", n)
				}
			})
		})
	}
}

// Nobody's key is not worth a question that the other side would refuse.
func TestLongKeyIDIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, "")
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		mustGet(t, c, "a", true)
		mustGet(t, c, strings.Repeat("k", MaxKID+1), false)
		if n := i.count(); n != 1 {
			t.Fatalf("%d fetches", n)
		}
		mustGet(t, c, strings.Repeat("k", MaxKID), false)
		if n := i.count(); n != 2 {
			t.Fatalf("%d fetches for the longest one", n)
		}
	})
}

func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a"), delay: 3 * time.Second}
		c := newCache(i, "")
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		synctest.Wait()
		start := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[error]int{}
		for range MaxWaiters + 50 {
			wg.Go(func() {
				_, err := c.Get(context.Background(), uri, "a")
				mu.Lock()
				defer mu.Unlock()
				got[err]++
			})
		}
		synctest.Wait()
		mu.Lock()
		if got[ErrBusy] != 50 || len(got) != 1 {
			t.Fatalf("at once: %v", got)
		}
		mu.Unlock()
		wg.Wait()
		if d := time.Since(start); d != MaxWait {
			t.Fatalf("waited %s", d)
		}
		if got[ErrNoKeys] != MaxWaiters {
			t.Fatalf("after a second: %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Get(ctx, uri, "a"); err != context.DeadlineExceeded {
			t.Fatalf("caller gone: %v", err)
		}
		time.Sleep(1500 * time.Millisecond)
		mustGet(t, c, "a", true)
	})
}
