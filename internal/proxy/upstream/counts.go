package upstream

import (
	"net"
	"sync"
	"sync/atomic"
)

// Counts is what happened to a cluster, by Envoy's names.
type Counts struct {
	Panic atomic.Int64 // lb_healthy_panic
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

// counted is a connection that is counted as long as it is open.
type counted struct {
	*net.TCPConn // with all its methods: who carries bytes looks for them
	host         *Host
	once         sync.Once
}

func (h *Host) counted(nc net.Conn) net.Conn {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	h.Counts.CxActive.Add(1)
	return &counted{TCPConn: t, host: h}
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.host.Counts.CxActive.Add(-1) })
	return c.TCPConn.Close()
}
