package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/filter/jwtauthn"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// keySets gives the filters remote key sets: one cache a cluster.
type keySets struct {
	snapshot func() *snapshot.Snapshot
	dir      string // "": nothing is kept
	log      *slog.Logger

	mu     sync.Mutex
	caches map[string]*jwks.Cache
	parsed map[jwtauthn.Source]parsed
	closed bool
}

// parsed is a key set as it was last fetched.
type parsed struct {
	of   *jwks.Set
	keys *jose.KeySet
}

var _ jwtauthn.KeySets = (*keySets)(nil)

func newKeySets(snap func() *snapshot.Snapshot, dir string, log *slog.Logger) *keySets {
	return &keySets{snapshot: snap, dir: dir, log: log, caches: map[string]*jwks.Cache{}, parsed: map[jwtauthn.Source]parsed{}}
}

var errStopped = errors.New("the proxy stops")

// cache gives the cluster's cache.
func (k *keySets) cache(cluster string) (*jwks.Cache, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errStopped
	}
	c := k.caches[cluster]
	if c == nil {
		o := jwks.Options{
			Transport: &clusterTransport{name: cluster, snapshot: k.snapshot},
			Mirror:    cluster == sidecar.MirrorCluster, Log: k.log, Now: time.Now,
		}
		if k.dir != "" && o.Mirror {
			o.Dir = filepath.Join(k.dir, "jwks")
		}
		c = jwks.New(o)
		k.caches[cluster] = c
	}
	return c, nil
}

// Want has the set fetched before it is asked for.
func (k *keySets) Want(s jwtauthn.Source) {
	if c, err := k.cache(s.Cluster); err == nil {
		c.Add(jwks.Target{URI: s.URI})
	}
}

// Keys gives the set in force.
func (k *keySets) Keys(ctx context.Context, s jwtauthn.Source, kid string) (*jose.KeySet, error) {
	c, err := k.cache(s.Cluster)
	if err != nil {
		return nil, err
	}
	set, err := c.Get(ctx, s.URI, kid)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.parsed[s]; p.of == set {
		return p.keys, nil
	}
	keys, err := jose.ParseKeySet(set.JSON)
	if err != nil {
		return nil, err
	}
	k.parsed[s] = parsed{set, keys}
	return keys, nil
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
}

// clusterTransport sends requests to a cluster as it is at the time.
type clusterTransport struct {
	name     string
	snapshot func() *snapshot.Snapshot

	mu sync.Mutex
	of *upstream.Cluster
	rt http.RoundTripper
}

// RoundTrip sends one request.
func (t *clusterTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := t.snapshot().Clusters[t.name]
	if c == nil {
		return nil, fmt.Errorf("there is no cluster %q", t.name)
	}
	t.mu.Lock()
	if t.of != c {
		if i, ok := t.rt.(interface{ CloseIdleConnections() }); ok {
			i.CloseIdleConnections()
		}
		t.of, t.rt = c, c.RoundTripper()
	}
	rt := t.rt
	t.mu.Unlock()
	return rt.RoundTrip(r)
}

// CloseIdleConnections lets the cache end without connections left behind.
func (t *clusterTransport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.rt.(interface{ CloseIdleConnections() }); ok {
		i.CloseIdleConnections()
	}
}
