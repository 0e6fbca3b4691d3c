package jwks

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Between proxy and mirror: the kid is told, the issuer's age counts, not ours.
func TestMirrorSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a"), header: http.Header{AgeHeader: {"82800"}, "Etag": {`"1"`}}} // 23 h
		c := New(Options{Transport: i, Mirror: true, Rand: func() float64 { return 0 }})
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		if s := mustGet(t, c, "a", true); time.Since(s.Fetched) != 23*time.Hour {
			t.Fatalf("fetched %s ago", time.Since(s.Fetched))
		}
		mustGet(t, c, "b c&d", false)
		if i.queries[1] != "kid=b+c%26d" || i.tags[1] != `"1"` {
			t.Fatalf("asked %q with %q", i.queries, i.tags)
		}
		// The mirror goes away: the day ends an hour from now.
		i.set(0, nil)
		time.Sleep(time.Second)
		mustGet(t, c, "hunter2", false)
		if st := c.States()[0]; st.LastError == "" || strings.Contains(st.LastError, "hunter2") {
			t.Fatalf("the error quotes a token's kid: %+v", st)
		}
		time.Sleep(59 * time.Minute)
		mustGet(t, c, "a", true)
		time.Sleep(2 * time.Minute)
		if _, err := c.Get(t.Context(), uri, "a"); !errors.Is(err, ErrNoKeys) {
			t.Fatalf("Get: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a")}
		c := New(Options{Transport: i, Mirror: true})
		defer c.Close()
		c.Set([]Target{{URI: uri}})
		_, err := c.Get(t.Context(), uri, "a")
		if err == nil || !strings.HasSuffix(err.Error(), "the mirror does not say how old the keys are") {
			t.Fatalf("Get: %v", err)
		}
	})
}

// What the mirror has not known for a day is forgotten: policies come and go, and
// proxies stay.
func TestForgotten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: keySet(t, "a"), header: http.Header{AgeHeader: {"0"}}}
		c := New(Options{Transport: i, Mirror: true, Dir: dir})
		defer c.Close()
		c.Add(Target{URI: uri})
		mustGet(t, c, "a", true)
		time.Sleep(time.Hour)
		i.set(503, nil)
		time.Sleep(2 * MaxAge)
		if st := c.States(); len(st) != 1 {
			t.Fatalf("forgotten, though the mirror only has no keys: %+v", st)
		}
		i.set(404, nil)
		time.Sleep(time.Minute)
		if _, err := c.Get(t.Context(), uri, "a"); err != ErrUnknown {
			t.Fatalf("Get: %v", err)
		}
		if st := c.States(); len(st) != 0 {
			t.Fatalf("states %+v", st)
		}
		c.Add(Target{URI: uri})
		time.Sleep(23 * time.Hour)
		if st := c.States(); len(st) != 1 || st[0].Failures[ReasonUnnamed] == 0 {
			t.Fatalf("a new one is forgotten too soon: %+v", st)
		}
	})
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
		t.Fatalf("left: %v", files)
	}
}
