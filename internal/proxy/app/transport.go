package app

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

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
