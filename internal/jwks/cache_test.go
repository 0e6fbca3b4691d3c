package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// issuer answers as a test says, within a bubble: no sockets, so that time can be
// made to pass.
type issuer struct {
	mu      sync.Mutex
	body    []byte
	status  int
	header  http.Header
	delay   time.Duration
	early   bool // what is answered is settled before the delay
	asked   []time.Time
	queries []string
	tags    []string
}

func (i *issuer) RoundTrip(rq *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.asked = append(i.asked, time.Now())
	i.queries = append(i.queries, rq.URL.RawQuery)
	i.tags = append(i.tags, rq.Header.Get("If-None-Match"))
	delay := i.delay
	status, body := i.status, i.body
	i.mu.Unlock()
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-rq.Context().Done():
			return nil, rq.Context().Err()
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.early {
		status, body = i.status, i.body
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	h := i.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if e := h.Get("Etag"); e != "" && e == rq.Header.Get("If-None-Match") {
		status, body = http.StatusNotModified, nil
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: rq}, nil
}

func (i *issuer) set(status int, body []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, body
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked)
}

const uri = "https://issuer.example/keys"

func newCache(i *issuer, dir string) *Cache {
	return New(Options{Transport: i, Dir: dir, Rand: func() float64 { return 0 }})
}

func mustGet(t *testing.T, c *Cache, kid string, has bool) *Set {
	t.Helper()
	s, err := c.Get(context.Background(), uri, kid)
	if err != nil {
		t.Fatalf("Get(%q): %v", kid, err)
	}
	if kid != "" && s.Keys.Has(kid) != has {
		t.Fatalf("Get(%q): has it: %v", kid, !has)
	}
	return s
}

// An issuer that starts after the mesh is found soon.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		c := newCache(i, "")
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		_, err := c.Get(t.Context(), uri, "")
		if !errors.Is(err, ErrNoKeys) || err.Error() != "no keys to be had: "+uri+": connection refused" {
			t.Fatalf("error %v", err)
		}
		time.Sleep(time.Second)
		i.set(200, keySet(t, "a"))
		time.Sleep(time.Second)
		mustGet(t, c, "a", true)
		i.set(500, nil)
		time.Sleep(2 * time.Hour)
		before := i.count()
		time.Sleep(time.Hour)
		if n := i.count() - before; n < 120 || n > 240 { // 15 to 30 s each
			t.Fatalf("%d tries an hour", n)
		}
	})
}

func TestOldKeysEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, "")
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		mustGet(t, c, "a", true)
		i.set(503, nil)
		time.Sleep(MaxAge - time.Minute)
		mustGet(t, c, "a", true)
		st := c.States()[0]
		if st.Keys != 1 || !slices.Equal(st.KIDs, []string{"a"}) || st.LastError != uri+": answers 503, not 200" || len(st.Failures) != 1 || st.Failures[ReasonStatus] == 0 {
			t.Fatalf("state %+v", st)
		}
		time.Sleep(2 * time.Minute)
		if _, err := c.Get(t.Context(), uri, "a"); !errors.Is(err, ErrNoKeys) {
			t.Fatalf("after a day: %v", err)
		}
		if st := c.States()[0]; st.Keys != 0 || st.KIDs != nil {
			t.Fatalf("state %+v", st)
		}
		i.set(200, keySet(t, "b"))
		time.Sleep(time.Minute)
		mustGet(t, c, "b", true)
	})
}

func TestRefresh(t *testing.T) {
	for _, tt := range []struct {
		name, cacheControl, age string
		most                    time.Duration // of the target
		want                    time.Duration
	}{
		{"nothing said", "", "", 0, 5 * time.Minute},
		{"within bounds", "public, max-age=600", "", 0, 10 * time.Minute},
		{"aged", "max-age=600", "300", 0, 5 * time.Minute},
		{"too long", "max-age=86400", "", 0, time.Hour},
		{"too short", "max-age=1", "", 0, 30 * time.Second},
		{"not to be kept", "no-store", "", 0, 30 * time.Second},
		{"nonsense", "max-age=-5", "", 0, 30 * time.Second},
		{"overflow", "max-age=99999999999999999999", "", 0, 30 * time.Second},
		{"the target's, nothing said", "", "", 10 * time.Minute, 10 * time.Minute},
		{"the target's is more", "max-age=60", "", 10 * time.Minute, time.Minute},
		{"the target's is less", "max-age=60", "", 5 * time.Second, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := http.Header{"Etag": {`"1"`}, "Cache-Control": {tt.cacheControl}, "Age": {tt.age}}
				i := &issuer{status: 200, body: keySet(t, "a"), header: h}
				c := newCache(i, "")
				defer c.Close()
				c.Set([]Target{{URI: uri, Refresh: tt.most}})
				time.Sleep(tt.want + time.Millisecond)
				synctest.Wait()
				if len(i.asked) != 2 || i.asked[1].Sub(i.asked[0]) != tt.want {
					t.Fatalf("asked at %v, want after %s", i.asked, tt.want)
				}
				if i.tags[0] != "" || i.tags[1] != `"1"` {
					t.Fatalf("If-None-Match %q", i.tags)
				}
				if st := c.States()[0]; st.LastError != "" || !st.Fetched.Equal(i.asked[1]) {
					t.Fatalf("304 is not a good fetch: %+v", st)
				}
			})
		})
	}
}

func TestJitter(t *testing.T) {
	for _, r := range []float64{0, 0.5, 0.999999} {
		if d := issuerPace.fresh(http.Header{}, 0, r); d > 5*time.Minute || d < 270*time.Second {
			t.Errorf("fresh for %s at %v", d, r)
		}
		for n := 1; n < 100; n++ {
			if d := retry(n, r); d < minRetry/2 || d > maxRetry {
				t.Errorf("retry %d after %s at %v", n, d, r)
			}
		}
	}
}

// A retry policy's tries belong to one fetch: who waits for it waits for them. After the
// last of them the next fetch comes when failed_refetch_duration says.
func TestRetryPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 503}
		c := New(Options{Transport: i, Rand: func() float64 { return 0.999999 }})
		defer c.Close()
		c.Set([]Target{{URI: uri, Retry: Retry{Times: 3, Base: 100 * time.Millisecond, Max: 250 * time.Millisecond}, Refetch: 20 * time.Second}})
		first := c.First(uri)
		go func() {
			time.Sleep(100*time.Millisecond + 260*time.Millisecond)
			i.set(200, keySet(t, "a"))
		}()
		begin := time.Now()
		if _, err := c.Get(t.Context(), uri, "a"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin).Round(10 * time.Millisecond); d != 600*time.Millisecond || i.count() != 4 {
			t.Errorf("%d tries in %s", i.count(), d)
		}
		<-first
	})
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 503}
		c := New(Options{Transport: i})
		defer c.Close()
		c.Set([]Target{{URI: uri, Retry: Retry{Times: 2, Base: time.Millisecond, Max: time.Millisecond}, Refetch: 20 * time.Second}})
		<-c.First(uri)
		if i.count() != 3 {
			t.Errorf("%d tries", i.count())
		}
		time.Sleep(19 * time.Second)
		if i.count() != 3 {
			t.Errorf("%d tries before the time", i.count())
		}
		time.Sleep(2 * time.Second)
		if i.count() != 6 {
			t.Errorf("%d tries", i.count())
		}
	})
}

// A policy that asks for no pause, or for one without end, gets what is sensible.
func TestRetryPolicyIsBounded(t *testing.T) {
	mad := Target{Retry: Retry{Times: 100, Base: 1, Max: 1}, Refetch: 1}
	for n := 1; n < 500; n++ {
		if d, again := mad.after(n, 0); d < minPause || again != (n%101 != 0) {
			t.Fatalf("after %d: %s, %t", n, d, again)
		}
	}
	long := Target{Retry: Retry{Times: 100, Base: time.Hour, Max: time.Hour}}
	for n := 1; n < 100; n++ {
		if d, _ := long.after(n, 0.999999); d > time.Hour || d < 59*time.Minute {
			t.Fatalf("after %d: %s", n, d)
		}
	}
	const maxRefresh = MaxAge / 2
	for most, want := range map[time.Duration]time.Duration{time.Nanosecond: minRefresh, 1000 * time.Hour: maxRefresh, time.Minute: time.Minute} {
		if d := issuerPace.within(maxRefresh).fresh(http.Header{}, most, 0); d != want {
			t.Errorf("cache_duration %s: fresh for %s", most, d)
		}
	}
}

// Of two that name one set, who wants it fresher is served.
func TestShorterRefreshCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, "")
		defer c.Close()
		c.Add(Target{URI: uri, Refresh: time.Hour})
		c.Add(Target{URI: uri, Refresh: time.Minute})
		c.Add(Target{URI: uri, Refresh: time.Hour})
		time.Sleep(10*time.Minute + time.Second)
		if n := i.count(); n < 11 || n > 12 {
			t.Errorf("%d fetches in ten minutes", n)
		}
	})
}

// Who waits for a first fetch that will not be made does not wait for ever.
func TestFirstEndsWithTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Transport: &issuer{status: 503}})
		c.Add(Target{URI: uri, Retry: Retry{Times: 5, Base: time.Hour, Max: time.Hour}})
		first := c.First(uri)
		synctest.Wait()
		c.Close()
		<-first
		<-c.First("another")
	})
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, dir)
		c.Set([]Target{{URI: uri}})
		mustGet(t, c, "a", true)
		c.Close()
	})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	file := files[0]
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", fi, err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T, content []byte, later time.Duration, check func(*Cache)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour + later)
			i := &issuer{}
			c := newCache(i, dir)
			defer c.Close()
			c.Add(Target{URI: uri})
			synctest.Wait()
			check(c)
		})
	}
	start(t, good, 0, func(c *Cache) {
		s := mustGet(t, c, "a", true)
		if st := c.States()[0]; !st.FromDisk || time.Since(s.Fetched) != time.Hour {
			t.Fatalf("state %+v", st)
		}
	})
	none := func(c *Cache) {
		t.Helper()
		if _, err := c.Get(context.Background(), uri, "a"); !errors.Is(err, ErrNoKeys) {
			t.Fatalf("Get: %v", err)
		}
		if st := c.States()[0]; st.FromDisk || !st.Fetched.IsZero() {
			t.Fatalf("what is bad was taken: %+v", st)
		}
	}
	start(t, good, MaxAge, none)
	start(t, good[:len(good)/2], 0, none)
	start(t, []byte("{}"), 0, none)
	start(t, bytes.Replace(good, []byte("issuer.example"), []byte("others.example"), 1), 0, none)
	start(t, bytes.Replace(good, []byte(`"kty":"EC"`), []byte(`"kty":"oct"`), 1), 0, none)
	start(t, bytes.Replace(good, []byte(`"Fetched":"2`), []byte(`"Fetched":"3`), 1), 0, none)

	// What is no longer named is forgotten.
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := newCache(i, dir)
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		mustGet(t, c, "a", true)
		c.Set(nil)
		if _, err := c.Get(t.Context(), uri, "a"); err != ErrUnknown {
			t.Fatalf("Get: %v", err)
		}
	})
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
		t.Fatalf("left: %v", files)
	}
}

// Every try is seen by whoever counts.
func TestOnFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a"), delay: time.Second}
		var mu sync.Mutex
		var got []string
		c := New(Options{Transport: i, Rand: func() float64 { return 0 }, OnFetch: func(took time.Duration, why Reason) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(took, why))
		}})
		c.Set([]Target{{URI: uri, Timeout: 3 * time.Second}})
		time.Sleep(2 * time.Second)
		i.mu.Lock()
		i.delay = time.Hour
		i.mu.Unlock()
		time.Sleep(5*time.Minute + 2*time.Second + 50*time.Millisecond)
		c.Close() // a try that we end ourselves does not count
		if want := []string{"1s", "3stimeout"}; !slices.Equal(got, want) {
			t.Errorf("seen %q, want %q", got, want)
		}
	})
}

// TestOnKeys: what rests on keys is told when they change, and not at each refresh.
func TestOnKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		var told atomic.Int32
		c := New(Options{Transport: i, OnKeys: func() { told.Add(1) }})
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		time.Sleep(time.Hour)
		if n := told.Load(); i.count() < 2 || n != 1 {
			t.Fatalf("told %d times by %d fetches of the same keys", n, i.count())
		}
		i.set(503, nil)
		time.Sleep(time.Hour)
		i.set(200, keySet(t, "b"))
		time.Sleep(time.Hour)
		if n := told.Load(); n != 2 {
			t.Fatalf("told %d times", n)
		}
	})
}
