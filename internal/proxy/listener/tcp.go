package listener

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter/rbac"
	"github.com/usher-mesh/usher/internal/proxy/hcm"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tunnel"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// tcpProxy is a compiled TcpProxy filter.
type tcpProxy struct {
	clusters []tcpCluster
	total    uint32
	idle     time.Duration
	attempts int
	guards   []*rbac.Network // in front, in order
	tlvs     addedTLVs
	logs     []*accesslog.Logger
	// flush_access_log_on_connected
	logsConnected bool
	listener      string // its name
	snapshot      func() *snapshot.Snapshot
	now           func() time.Time
	told          func(x *exchange.Exchange, ended bool) // nil: nobody is
	log           *slog.Logger
}

type tcpCluster struct {
	name   string
	weight uint32
}

func compileTCP(m *tcpv3.TcpProxy, listener string, o Options) (*tcpProxy, error) {
	if err := strict.Only(m, "stat_prefix", "cluster", "weighted_clusters", "idle_timeout", "max_connect_attempts",
		"access_log", "access_log_options", "proxy_protocol_tlvs", "proxy_protocol_tlv_merge_policy"); err != nil {
		return nil, err
	}
	t := &tcpProxy{idle: time.Hour, attempts: 1, snapshot: o.Snapshot, listener: listener, now: o.Now, told: o.ObserveTCP, log: o.Log}
	if t.now == nil {
		t.now = time.Now
	}
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
	err := strict.Only(m.GetAccessLogOptions(), "flush_access_log_on_connected")
	if err != nil {
		return nil, strict.At("access_log_options", err)
	}
	t.logsConnected = m.GetAccessLogOptions().GetFlushAccessLogOnConnected()
	if t.tlvs, err = compileTLVs(m); err != nil {
		return nil, err
	}
	if t.logs, err = accesslog.CompileAll(m.GetAccessLog(), o.logs()); err != nil { // the last, since logs must be closed
		return nil, err
	}
	return t, nil
}

// serve carries the connection to an endpoint of the cluster as long as the guards
// in force let it, and logs it when it has ended.
func (t *tcpProxy) serve(of *conn, c net.Conn, prefix []byte, info *exchange.Conn) {
	ctx := of.l.ctx
	info.TLVs = t.tlvs.merge(info.TLVs)
	x := &exchange.Exchange{Conn: info, Listener: t.listener, Start: t.now()}
	defer func() {
		x.Ended = t.now()
		t.observe(x, true)
		t.write(x, "TcpConnectionEnd")
	}()
	if !t.allow(x) {
		t.observe(x, false)
		c.Close()
		return
	}
	up := t.dial(ctx, x)
	t.observe(x, false)
	if up == nil {
		c.Close()
		return
	}
	if t.logsConnected {
		t.write(x, "TcpUpstreamConnected")
	}
	stop := context.AfterFunc(ctx, func() { c.Close(); up.Close() })
	defer stop()
	revoked := ""
	release := of.last(func() (time.Time, bool) {
		again := &exchange.Exchange{Conn: info, Listener: t.listener, Start: t.now()}
		ch := of.standing()
		if ch == nil || ch.tcp == nil || !ch.tcp.allow(again) {
			revoked = hcm.Revoked(again.Details)
			return time.Time{}, false
		}
		return time.Time{}, true
	}, time.Time{}, func() { tunnel.Reset(c); tunnel.Reset(up) })
	x.BytesReceived, x.BytesSent = tunnel.Run(c, up, prefix, t.idle)
	release()
	if revoked != "" {
		x.Details = revoked
	}
}

// write writes the connection as it is now. Kind is Envoy's AccessLogType.
func (t *tcpProxy) write(x *exchange.Exchange, kind string) {
	x.LogType = kind
	for _, l := range t.logs {
		l.Log(x)
	}
}

func (t *tcpProxy) observe(x *exchange.Exchange, ended bool) {
	if t.told != nil {
		t.told(x, ended)
	}
}

// allow asks the guards. A refusal's reason is in the exchange.
func (t *tcpProxy) allow(x *exchange.Exchange) bool {
	for _, g := range t.guards {
		if !g.Allow(x) {
			t.log.Debug("connection refused", "listener", t.listener, "peer", x.Conn.Remote, "reason", x.Details)
			return false
		}
	}
	return true
}

// dial connects to an endpoint, nil if none can be had.
func (t *tcpProxy) dial(ctx context.Context, x *exchange.Exchange) net.Conn {
	x.Cluster = t.choose()
	s := t.snapshot()
	if s == nil || s.Clusters[x.Cluster] == nil {
		x.Flags = "NC"
		return nil
	}
	s.Clusters[x.Cluster].Describe(x)
	for range t.attempts {
		h, err := s.Clusters[x.Cluster].Pick(ctx, upstream.Ask{Authority: x.Conn.Local.String(), Hash: x.Hash, For: x})
		if err != nil {
			x.Flags = "UH"
			return nil
		}
		up, err := h.Connect(ctx, x.Conn, upstream.Default)
		if err == upstream.ErrOverflow { // no attempt, and none follows
			x.Flags = "UO"
			return nil
		}
		x.UpstreamHost, x.Endpoint = h.Text, h
		x.Attempts++
		if err == nil {
			x.UpstreamLocal, x.Upstream = exchange.AddrPort(up.LocalAddr()), upstream.About(up)
			return up
		}
		t.log.Debug("no connection to the endpoint", "cluster", x.Cluster, "endpoint", h.Text, "error", err)
	}
	x.Flags = "UF,URX"
	return nil
}

// choose picks a cluster by weight.
func (t *tcpProxy) choose() string {
	n := rand.Uint32N(t.total)
	for _, x := range t.clusters {
		if n < x.weight {
			return x.name
		}
		n -= x.weight
	}
	return t.clusters[0].name
}
