package upstream

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/traffic"
)

// Counts is what happened to a cluster, by Envoy's names.
type Counts struct {
	Panic          counters.Counter   `stat:"lb_healthy_panic"`
	Members        counters.Counter   `stat:"membership_change"`
	CxTotal        counters.Counter   `stat:"upstream_cx_total"`
	CxHTTP1        counters.Counter   `stat:"upstream_cx_http1_total"`
	CxHTTP2        counters.Counter   `stat:"upstream_cx_http2_total"`
	CxConnectFail  counters.Counter   `stat:"upstream_cx_connect_fail"`
	CxTimeout      counters.Counter   `stat:"upstream_cx_connect_timeout"`
	CxOverflow     counters.Counter   `stat:"upstream_cx_overflow"`
	CxDestroy      counters.Counter   `stat:"upstream_cx_destroy"`
	CxNoneHealthy  counters.Counter   `stat:"upstream_cx_none_healthy"`
	NoDestination  counters.Counter   `stat:"original_dst_host_invalid"`
	CxMaxRequests  counters.Counter   `stat:"upstream_cx_max_requests"`
	CxProtocol     counters.Counter   `stat:"upstream_cx_protocol_error"`
	CxConnect      counters.Histogram `stat:"upstream_cx_connect_ms"`
	CxLength       counters.Histogram `stat:"upstream_cx_length_ms"`
	CxReceived     counters.Counter   `stat:"upstream_cx_rx_bytes_total"`
	CxSent         counters.Counter   `stat:"upstream_cx_tx_bytes_total"`
	Handshake      counters.Counter   `stat:"ssl.handshake"`
	HandshakeError counters.Counter   `stat:"ssl.connection_error"`
	RqTotal        counters.Counter   `stat:"upstream_rq_total"`
	RqPending      counters.Counter   `stat:"upstream_rq_pending_total"`
	RqOverflow     counters.Counter   `stat:"upstream_rq_pending_overflow"`
	RqCancelled    counters.Counter   `stat:"upstream_rq_cancelled"`
	RqEjected      counters.Counter   `stat:"upstream_rq_pending_failure_eject"`
	RqTimeout      counters.Counter   `stat:"upstream_rq_timeout"`
	RqPerTry       counters.Counter   `stat:"upstream_rq_per_try_timeout"`
	RqPerTryIdle   counters.Counter   `stat:"upstream_rq_per_try_idle_timeout"`
	RqMax          counters.Counter   `stat:"upstream_rq_max_duration_reached"`
	RqRxReset      counters.Counter   `stat:"upstream_rq_rx_reset"`
	RqRetry        counters.Counter   `stat:"upstream_rq_retry"`
	RqRetrySuccess counters.Counter   `stat:"upstream_rq_retry_success"`
	RqRetryOver    counters.Counter   `stat:"upstream_rq_retry_overflow"`
	RqRetryLimit   counters.Counter   `stat:"upstream_rq_retry_limit_exceeded"`
	RqBackoff      counters.Counter   `stat:"upstream_rq_retry_backoff_exponential"`
	RqBackoffAsked counters.Counter   `stat:"upstream_rq_retry_backoff_ratelimited"`
	Rq             counters.Codes     `stat:"upstream_rq_"`
	Retried        counters.Codes     `stat:"retry.upstream_rq_"`
	RqTime         counters.Histogram `stat:"upstream_rq_time"`
	GRPC           Calls              `stat:"grpc."`
}

// traffic counts the bytes of a connection.
func (c *Counts) traffic(nc net.Conn) *traffic.Conn {
	return &traffic.Conn{Conn: nc, Received: &c.CxReceived, Sent: &c.CxSent}
}

// Answered counts an answer that is passed on, after so many attempts.
func (c *Counts) Answered(status, attempts int) {
	c.Rq.Inc(status)
	if attempts > 1 && status < 500 {
		c.RqRetrySuccess.Inc()
	}
}

// Began counts a request that has got a connection to the host.
func (h *Host) Began() {
	h.Counts.RqTotal.Add(1)
	h.cluster.Counts.RqTotal.Inc()
}

// HostCounts is what happened to an endpoint, by Envoy's names.
type HostCounts struct {
	CxTotal       atomic.Uint64 // cx_total: connections that were begun
	CxConnectFail atomic.Uint64 // cx_connect_fail
	CxActive      atomic.Int64  // cx_active
	RqTotal       atomic.Uint64 // rq_total: requests that got a connection
	RqSuccess     atomic.Uint64 // rq_success: answered, and not with 5xx
	RqError       atomic.Uint64 // rq_error
	RqTimeout     atomic.Uint64 // rq_timeout
	RqPending     atomic.Int64  // rq_pending_active: requests that wait for a connection
}

// Answered counts an answer by its status.
func (c *HostCounts) Answered(status int) {
	if status >= 500 {
		c.RqError.Add(1)
	} else {
		c.RqSuccess.Add(1)
	}
}

// Failed counts a request without an answer.
func (c *HostCounts) Failed(timeout bool) {
	c.RqError.Add(1)
	if timeout {
		c.RqTimeout.Add(1)
	}
}

// unconnected counts a connection that could not be made.
func (h *Host) unconnected(timeout bool) {
	h.Counts.CxConnectFail.Add(1)
	c := h.cluster.Counts
	c.CxConnectFail.Inc()
	if timeout {
		c.CxTimeout.Inc()
	}
}

// counted is a connection that is counted as long as it is open.
type counted struct {
	*net.TCPConn // with all its methods: who carries bytes looks for them
	host         *Host
	pool         *pool  // that holds it
	ended        func() // see dial
	since        time.Time
	about        exchange.UpstreamConn
	once         sync.Once
}

func (h *Host) counted(nc *net.TCPConn, p *pool, ended func()) *counted {
	h.Counts.CxActive.Add(1)
	p.keep()
	return &counted{TCPConn: nc, host: h, pool: p, ended: ended, since: time.Now(), about: exchange.UpstreamConn{ID: exchange.NextID()}}
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() {
		c.host.Counts.CxActive.Add(-1)
		if c.ended != nil {
			c.ended()
		}
		c.pool.letGo()
		of := c.host.cluster.Counts
		of.CxDestroy.Inc()
		of.CxLength.Observe(float64(time.Since(c.since).Milliseconds()))
	})
	return c.TCPConn.Close()
}
