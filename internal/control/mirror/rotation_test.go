package mirror

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/mesh"
	"github.com/usher-mesh/usher/test/keyserver"
)

// chain is an issuer, the mirror, and a proxy's cache, with one clock for both.
type chain struct {
	t      *testing.T
	issuer *keyserver.Issuer
	uri    string // the issuer's
	clock  atomic.Int64
	dirs   [2]string

	stop  func()
	proxy *jwks.Cache
	at    string // the set at the mirror

	maxAge time.Duration // 0: the default
}

func newChain(t *testing.T, kids ...string) *chain {
	t.Helper()
	c := &chain{t: t, issuer: keyserver.NewIssuer(t, "i", kids...), dirs: [2]string{t.TempDir(), t.TempDir()}}
	s := httptest.NewServer(c.issuer)
	t.Cleanup(s.Close)
	c.uri = s.URL
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *chain) now() time.Time { return time.Now().Add(time.Duration(c.clock.Load())) }

func (c *chain) wait(d time.Duration) { c.clock.Add(int64(d)) }

// start starts mirror and proxy.
func (c *chain) start() {
	c.t.Helper()
	m, err := New(Options{Dir: c.dirs[0], Allow: machine, Now: c.now, MaxAge: c.maxAge})
	if err != nil {
		c.t.Fatal(err)
	}
	m.Set([]mesh.KeySet{{URI: c.uri}}, nil)
	s := httptest.NewServer(m.Handler())
	// As in a mesh, where the mirror's name is the same after a restart.
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}}
	c.proxy = jwks.New(jwks.Options{Transport: tr, Dir: c.dirs[1], Mirror: true, Now: c.now})
	c.at = "http://usher-jwks-mirror" + Path(c.uri)
	c.proxy.Add(jwks.Target{URI: c.at})
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = func() {
		c.proxy.Close()
		s.Close()
		cancel()
		if err := m.Run(ctx); err != nil {
			c.t.Error(err)
		}
	}
}

// judge gives the kind of the refusal that a token with that key gets; jose.OK for
// none.
func (c *chain) judge(kid string) jose.Kind {
	c.t.Helper()
	tok, err := jose.Parse(c.issuer.Token(kid, time.Hour), 0)
	if err != nil {
		c.t.Fatal(err)
	}
	set, err := c.proxy.Get(context.Background(), c.at, tok.KeyID)
	if errors.Is(err, jwks.ErrNoKeys) {
		return jose.FetchFailed
	}
	if err != nil {
		c.t.Error(err)
		return jose.FetchFailed
	}
	_, err = set.Keys.Verify(tok)
	return jose.KindOf(err)
}

func (c *chain) expect(what, kid string, want jose.Kind) {
	c.t.Helper()
	if got := c.judge(kid); got != want {
		c.t.Errorf("%s: a token of key %q: %v, want %v", what, kid, got, want)
	}
}

// fetches counts what the issuer is asked while f runs.
func (c *chain) fetches(what string, want int64, f func()) {
	c.t.Helper()
	before := c.issuer.Asked.Load()
	f()
	n := c.issuer.Asked.Load() - before
	c.t.Logf("%s: %d fetches", what, n)
	if n != want {
		c.t.Errorf("%s: %d fetches of the issuer, want %d", what, n, want)
	}
}

func (c *chain) flood(n int, prefix string) {
	c.t.Helper()
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() { c.expect("flood", fmt.Sprint(prefix, k), jose.NoMatchingKey) })
	}
	wg.Wait()
}

func TestRotation(t *testing.T) {
	c := newChain(t, "a")
	c.expect("start", "a", jose.OK)
	if n := c.issuer.Asked.Load(); n != 1 {
		t.Errorf("%d fetches before anybody came", n)
	}

	c.issuer.Publish("b")
	c.fetches("the first request of a new key", 1, func() { c.expect("first", "b", jose.OK) })
	c.issuer.Publish("c")
	c.fetches("another one at once", 1, func() { c.expect("second", "c", jose.OK) })
	c.fetches("1,000 requests of unknown keys", 1, func() { c.flood(1000, "x") })
	c.wait(6 * time.Second)
	c.fetches("1,000 requests of unknown keys, a window later", 1, func() { c.flood(1000, "y") })
	c.fetches("1,000 more", 0, func() { c.flood(1000, "z") })

	// A key that is withdrawn goes with the next fetch.
	c.issuer.Withdraw("a")
	c.wait(6 * time.Second)
	c.expect("withdrawn", "anything", jose.NoMatchingKey)
	c.expect("withdrawn", "a", jose.NoMatchingKey)
	c.expect("withdrawn", "b", jose.OK)
}

func TestIssuerDown(t *testing.T) {
	c := newChain(t, "a")
	c.expect("start", "a", jose.OK)
	c.issuer.Fail(true)
	c.wait(time.Hour)
	c.issuer.Publish("b")
	c.expect("down for an hour", "a", jose.OK)
	c.expect("down for an hour", "b", jose.NoMatchingKey)

	c.stop()
	c.start()
	c.expect("after a restart of both", "a", jose.OK)
	c.wait(6 * time.Second)
	c.expect("after a restart of both", "b", jose.NoMatchingKey)

	// The day ends 24 hours after the last good fetch, restarts or not.
	c.wait(23*time.Hour - 2*time.Minute)
	c.expect("down for nearly a day", "a", jose.OK)
	c.wait(3 * time.Minute)
	c.expect("down for a day", "a", jose.FetchFailed)
	c.stop()
	c.start()
	c.expect("after another restart", "a", jose.FetchFailed)

	c.issuer.Fail(false)
	c.wait(6 * time.Second)
	c.expect("back", "a", jose.OK)
	c.expect("back", "b", jose.OK)
}

// How old keys may become is said at the mirror, and holds at proxies, also after a
// restart without a mirror.
func TestMaxAge(t *testing.T) {
	c := newChain(t, "a")
	c.stop()
	c.maxAge = 2 * time.Hour
	c.start()
	c.expect("start", "a", jose.OK)
	c.issuer.Fail(true)
	c.wait(2*time.Hour - time.Minute)
	c.expect("before the time", "a", jose.OK)
	c.wait(2 * time.Minute)
	c.expect("after the time", "a", jose.FetchFailed)
	c.stop()
	c.start()
	c.expect("after a restart", "a", jose.FetchFailed)

	// Longer than by default: the proxy's own copy too.
	c.stop()
	c.maxAge = 72 * time.Hour
	c.issuer.Fail(false)
	c.start()
	c.wait(6 * time.Second)
	c.expect("longer", "a", jose.OK)
	c.stop()
	c.wait(70 * time.Hour)
	alone := jwks.New(jwks.Options{Transport: refuses{}, Dir: c.dirs[1], Mirror: true, Now: c.now})
	defer alone.Close()
	alone.Add(jwks.Target{URI: c.at})
	if _, err := alone.Get(t.Context(), c.at, "a"); err != nil {
		t.Errorf("a proxy alone: %v", err)
	}
	c.wait(3 * time.Hour)
	if _, err := alone.Get(t.Context(), c.at, "a"); !errors.Is(err, jwks.ErrNoKeys) {
		t.Errorf("a proxy alone, after the time: %v", err)
	}
	c.start()
}

type refuses struct{}

func (refuses) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
