package listener

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tunnel"
)

// tcpProxy is a compiled TcpProxy filter.
type tcpProxy struct {
	clusters []tcpCluster
	total    uint32
	idle     time.Duration
	attempts int
	snapshot func() *snapshot.Snapshot
	log      *slog.Logger
}

type tcpCluster struct {
	name   string
	weight uint32
}

func compileTCP(m *tcpv3.TcpProxy, o Options) (*tcpProxy, error) {
	if err := strict.Only(m, "stat_prefix", "cluster", "weighted_clusters", "idle_timeout", "max_connect_attempts"); err != nil {
		return nil, err
	}
	t := &tcpProxy{idle: time.Hour, attempts: 1, snapshot: o.Snapshot, log: o.Log}
	if d := m.GetIdleTimeout(); d != nil {
		t.idle = d.AsDuration()
	}
	if n := m.GetMaxConnectAttempts().GetValue(); n > 0 {
		t.attempts = int(min(n, 10))
	}
	switch c := m.GetClusterSpecifier().(type) {
	case *tcpv3.TcpProxy_Cluster:
		t.clusters = []tcpCluster{{c.Cluster, 1}}
	case *tcpv3.TcpProxy_WeightedClusters:
		for i, w := range c.WeightedClusters.GetClusters() {
			if err := strict.Only(w, "name", "weight"); err != nil {
				return nil, strict.At("weighted_clusters", strict.AtIndex("clusters", i, err))
			}
			t.clusters = append(t.clusters, tcpCluster{w.GetName(), w.GetWeight()})
		}
	}
	for _, c := range t.clusters {
		if c.name == "" || t.total+c.weight < t.total {
			return nil, strict.Errorf("cluster", "empty, or weights that overflow")
		}
		t.total += c.weight
	}
	if t.total == 0 {
		return nil, strict.Errorf("cluster_specifier", "missing")
	}
	return t, nil
}

// serve carries the connection to an endpoint of the cluster.
func (t *tcpProxy) serve(ctx context.Context, c net.Conn, prefix []byte, text string) {
	name := t.clusters[0].name
	n := rand.Uint32N(t.total)
	for _, x := range t.clusters {
		if n < x.weight {
			name = x.name
			break
		}
		n -= x.weight
	}
	var up net.Conn
	if s := t.snapshot(); s != nil && s.Clusters[name] != nil {
		for range t.attempts {
			h, err := s.Clusters[name].Pick(ctx, text, 0)
			if err != nil {
				break
			}
			if up, err = h.Dial(ctx); err == nil {
				break
			}
			t.log.Debug("no connection to the endpoint", "cluster", name, "endpoint", h.Text, "error", err)
		}
	}
	if up == nil {
		c.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close(); up.Close() })
	defer stop()
	tunnel.Run(c, up, prefix, t.idle)
}
