package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/filter/jwtauthn"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
)

// keySets gives the filters remote key sets: one cache a cluster.
type keySets struct {
	snapshot func() *snapshot.Snapshot
	dir      string // "": nothing is kept
	changed  func() // keys have changed
	log      *slog.Logger
	metrics  *metrics.KeySets
	settled  func() // nobody waits for a first fetch any more; on a goroutine of its own

	mu     sync.RWMutex
	caches map[string]*jwks.Cache // by cluster
	firsts int                    // first fetches that listeners wait for
	closed bool
	waits  sync.WaitGroup
}

var _ jwtauthn.KeySets = (*keySets)(nil)

func newKeySets(snap func() *snapshot.Snapshot, dir string, changed func(), m *metrics.Registry, log *slog.Logger) *keySets {
	k := &keySets{snapshot: snap, dir: dir, changed: changed, log: log, caches: map[string]*jwks.Cache{}}
	k.metrics = m.AddKeySets(k.states)
	return k
}

var errStopped = errors.New("the proxy stops")

// cache gives the cluster's cache.
func (k *keySets) cache(cluster string) (*jwks.Cache, error) {
	k.mu.RLock()
	c, closed := k.caches[cluster], k.closed
	k.mu.RUnlock()
	if c != nil || closed {
		return c, stopped(closed)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.caches[cluster]; c != nil || k.closed {
		return c, stopped(k.closed)
	}
	o := jwks.Options{
		Transport: &clusterTransport{name: cluster, snapshot: k.snapshot},
		Mirror:    cluster == sidecar.MirrorCluster, OnFetch: k.observe, OnKeys: k.changed, Log: k.log, Now: time.Now,
	}
	if k.dir != "" && o.Mirror {
		o.Dir = filepath.Join(k.dir, "jwks")
	}
	c = jwks.New(o)
	k.caches[cluster] = c
	return c, nil
}

func stopped(closed bool) error {
	if closed {
		return errStopped
	}
	return nil
}

// target: how often the mirror is asked is the mirror's matter.
func target(s jwtauthn.Source) jwks.Target {
	t := jwks.Target{URI: s.URI, Timeout: s.Timeout}
	if s.Cluster != sidecar.MirrorCluster {
		t.Refresh = cmp.Or(s.CacheDuration, defaultCacheDuration)
		t.Retry, t.Refetch = jwks.Retry{Times: s.Retries, Base: s.BackOff, Max: s.MaxBackOff}, s.Refetch
	}
	return t
}

// defaultCacheDuration is Envoy's for remote_jwks.cache_duration.
const defaultCacheDuration = 10 * time.Minute

// Want has the set fetched before it is asked for.
func (k *keySets) Want(s jwtauthn.Source) {
	c, err := k.cache(s.Cluster)
	if err != nil {
		return
	}
	c.Add(target(s))
	if s.Wait {
		k.await(c.First(s.URI))
	}
}

// await notes that listeners wait for a first fetch.
func (k *keySets) await(first <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.firsts++
	k.waits.Go(func() {
		<-first
		k.mu.Lock()
		k.firsts--
		last := k.firsts == 0 && !k.closed
		k.mu.Unlock()
		if last && k.settled != nil {
			k.settled()
		}
	})
}

// warm tells whether no listener has to wait for a first fetch.
func (k *keySets) warm() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.firsts == 0
}

// Keys gives the set in force.
func (k *keySets) Keys(ctx context.Context, s jwtauthn.Source, kid string) (*jose.KeySet, error) {
	c, err := k.cache(s.Cluster)
	if err != nil {
		return nil, err
	}
	set, err := c.Get(ctx, s.URI, kid)
	if err == jwks.ErrUnknown { // it was forgotten, since nobody named it for long
		c.Add(target(s))
		set, err = c.Get(ctx, s.URI, kid)
	}
	if err != nil {
		return nil, err
	}
	return set.Keys, nil
}

func (k *keySets) observe(took time.Duration, failure jwks.Reason) {
	k.metrics.Observe(took, cmp.Or(string(failure), "ok"))
}

// states are for metrics.
func (k *keySets) states() []metrics.KeySet {
	k.mu.RLock()
	caches := maps.Clone(k.caches)
	k.mu.RUnlock()
	var out []metrics.KeySet
	for _, cluster := range slices.Sorted(maps.Keys(caches)) {
		for _, s := range caches[cluster].States() {
			m := metrics.KeySet{
				Cluster: cluster, URI: jwks.Shown(issuersURI(cluster, s.URI)), Keys: s.Keys, Age: -1,
				Warnings: len(s.Warnings), Fetches: s.Fetches, Failures: map[string]uint64{},
			}
			if !s.Fetched.IsZero() {
				m.Age = time.Since(s.Fetched)
			}
			for why, n := range s.Failures {
				m.Failures[string(why)] = n
			}
			out = append(out, m)
		}
	}
	return out
}

// issuersURI is the one that the mirror fetches, which stands in the path of its own.
func issuersURI(cluster, uri string) string {
	if cluster != sidecar.MirrorCluster {
		return uri
	}
	b, err := base64.RawURLEncoding.DecodeString(uri[strings.LastIndexByte(uri, '/')+1:])
	if err != nil {
		return uri
	}
	return string(b)
}

func (k *keySets) close() {
	k.mu.Lock()
	k.closed = true
	all := k.caches
	k.caches = nil
	k.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
	k.waits.Wait()
}
